//! The service manager, asked over D-Bus (org.freedesktop.systemd1(5)).
//!
//! A connection is made for one question and gone after it. It needs a tokio
//! runtime and starts no threads. Whoever asks sets a limit: a bus that hangs
//! hangs for ever.

use std::{
    io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use tokio::net::UnixStream;
use tokio_stream::StreamExt as _;
use zbus::{
    Connection, Message, MessageStream, ObjectPath, OwnedObjectPath, OwnedVariant, Variant,
    connection::Builder,
};

const MANAGER: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER_INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const UNIT_INTERFACE: &str = "org.freedesktop.systemd1.Unit";
const SERVICE_INTERFACE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES_INTERFACE: &str = "org.freedesktop.DBus.Properties";
/// Whoever asks, wherever the manager sees it.
const CALLER: u32 = 0;
/// Signals that may wait to be read: there is one, of one job.
const FEW: NonZeroUsize = NonZeroUsize::new(8).expect("it is not zero");

/// Why a service manager did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error("{}: {cause}", bus.display())]
    Connect {
        /// The socket.
        bus: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// It, or the bus, said no, or something that cannot be understood.
    #[error(transparent)]
    Bus(#[from] zbus::Error),
    /// The job that was to make the unit did not.
    #[error("the job ended with {0:?}")]
    Job(String),
    /// The bus hung up before the job was done.
    #[error("the bus hung up")]
    HungUp,
}

/// The service as which a manager runs whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    /// Its name.
    pub(super) unit: String,
    /// The slice that it is in.
    pub(super) slice: String,
    /// Its control group, from the hierarchy's root on.
    pub(super) group: String,
}

/// The service as which the manager on this bus has started this process; `None`
/// if it has not: it is in a session, say, or below somebody else's service.
///
/// # Errors
/// If nobody can be asked, or it does not run this process at all.
pub(super) async fn own_service(bus: &Path) -> Result<Option<Service>, AskError> {
    let bus = connect(bus).await?;
    let reply = ask(&bus, "GetUnitByPID", &CALLER).await?;
    let unit: OwnedObjectPath = body(&reply)?;
    let name: String = property(&bus, &unit, UNIT_INTERFACE, "Id").await?;
    if !name.ends_with(".service") {
        return Ok(None);
    }
    let main: u32 = property(&bus, &unit, SERVICE_INTERFACE, "MainPID").await?;
    if main != std::process::id() {
        return Ok(None);
    }
    Ok(Some(Service {
        unit: name,
        slice: property(&bus, &unit, SERVICE_INTERFACE, "Slice").await?,
        group: property(&bus, &unit, SERVICE_INTERFACE, "ControlGroup").await?,
    }))
}

/// A transient scope (systemd.scope(5)).
#[derive(Debug)]
pub struct NewScope<'a> {
    /// Its name; ends in `.scope`.
    pub unit: &'a str,
    /// The slice in which it is made.
    pub slice: &'a str,
    /// A unit that is stopped before it, if both are.
    pub before: &'a str,
    /// For people.
    pub description: &'a str,
    /// The signal by which its processes hear that it is to end.
    pub stop_signal: i32,
    /// Between that and the kill of what is left, milliseconds.
    pub stop_timeout: u64,
    /// Most memory, bytes; it gets no swap then.
    pub memory: Option<u64>,
    /// Most processes and threads.
    pub pids: Option<u64>,
    /// Most CPU time, thousandths of a CPU.
    pub cpu: Option<u64>,
}

impl NewScope<'_> {
    fn properties(&self) -> Vec<(&'static str, Variant<'_>)> {
        let mut properties = vec![
            ("Description", Variant::from(self.description)),
            ("Slice", Variant::from(self.slice)),
            ("Before", Variant::from(vec![self.before])),
            ("PIDs", Variant::from(vec![CALLER])),
            ("Delegate", Variant::from(true)),
            // Nothing stays loaded, however it ended.
            ("CollectMode", Variant::from("inactive-or-failed")),
            ("KillSignal", Variant::from(self.stop_signal)),
            (
                "TimeoutStopUSec",
                Variant::from(self.stop_timeout.saturating_mul(1000)),
            ),
        ];
        if let Some(memory) = self.memory {
            properties.push(("MemoryMax", Variant::from(memory)));
            properties.push(("MemorySwapMax", Variant::from(0_u64)));
        }
        if let Some(pids) = self.pids {
            properties.push(("TasksMax", Variant::from(pids)));
        }
        if let Some(cpu) = self.cpu {
            // Microseconds a second.
            let quota = cpu.saturating_mul(1000);
            properties.push(("CPUQuotaPerSecUSec", Variant::from(quota)));
        }
        properties
    }
}

/// Has the manager on this bus make a scope and put this process into it, and
/// waits until that is done.
///
/// # Errors
/// If nobody can be asked, or the manager does not do it. It may have been done
/// nevertheless if the bus hung up, or if this was not waited for to its end.
pub async fn enter_scope(bus: &Path, scope: &NewScope<'_>) -> Result<(), AskError> {
    let bus = connect(bus).await?;
    // The reply names a job that is still to be done; so that its end is not
    // missed, it is listened for before.
    let rule = format!(
        "type='signal',sender='{MANAGER}',interface='{MANAGER_INTERFACE}',\
         member='JobRemoved',arg2='{}'",
        scope.unit
    );
    let mut ended = MessageStream::for_match_rule(rule.as_str(), &bus, Some(FEW)).await?;
    ask(&bus, "Subscribe", &()).await?;
    let no_others: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
    let wanted = (scope.unit, "fail", scope.properties(), no_others);
    let reply = ask(&bus, "StartTransientUnit", &wanted).await?;
    let ours: OwnedObjectPath = body(&reply)?;
    while let Some(signal) = ended.next().await {
        let (_, job, _, result): (u32, OwnedObjectPath, String, String) = body(&signal?)?;
        if job == ours {
            return match result.as_str() {
                "done" => Ok(()),
                _ => Err(AskError::Job(result)),
            };
        }
    }
    Err(AskError::HungUp)
}

async fn connect(bus: &Path) -> Result<Connection, AskError> {
    let connected = async { UnixStream::connect(bus).await?.into_std() };
    let stream = connected.await.map_err(|cause| AskError::Connect {
        bus: bus.to_owned(),
        cause,
    })?;
    Ok(Builder::unix_stream(stream).build().await?)
}

async fn ask<B>(bus: &Connection, method: &str, body: &B) -> zbus::Result<Message>
where
    B: serde::Serialize + zbus::DynamicType,
{
    let interface = Some(MANAGER_INTERFACE);
    bus.call_method(Some(MANAGER), MANAGER_PATH, interface, method, body)
        .await
}

async fn property<T>(
    bus: &Connection,
    unit: &ObjectPath<'_>,
    interface: &str,
    name: &str,
) -> zbus::Result<T>
where
    T: TryFrom<OwnedVariant, Error = zbus::Error>,
{
    let of = Some(PROPERTIES_INTERFACE);
    let wanted = (interface, name);
    let reply = bus.call_method(Some(MANAGER), unit, of, "Get", &wanted);
    let value: OwnedVariant = body(&reply.await?)?;
    T::try_from(value)
}

fn body<T>(message: &Message) -> zbus::Result<T>
where
    T: for<'b> zbus::wire::DynamicDeserialize<'b>,
{
    message.body().deserialize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_limited_by_what_is_named_only() {
        let scope = NewScope {
            unit: "a.scope",
            slice: "b.slice",
            before: "c.service",
            description: "d",
            stop_signal: 28,
            stop_timeout: 1500,
            memory: None,
            pids: None,
            cpu: Some(1500),
        };
        let properties = scope.properties();
        let of = |wanted: &str| {
            let mut found = properties.iter().filter(|(name, _)| *name == wanted);
            found.next().map(|(_, value)| value.clone())
        };
        assert_eq!(of("MemoryMax"), None);
        assert_eq!(of("MemorySwapMax"), None);
        assert_eq!(of("TasksMax"), None);
        assert_eq!(of("CPUQuotaPerSecUSec"), Some(Variant::from(1_500_000_u64)));
        assert_eq!(of("TimeoutStopUSec"), Some(Variant::from(1_500_000_u64)));
        let limited = NewScope {
            memory: Some(7),
            pids: Some(8),
            ..scope
        };
        let names: Vec<_> = limited.properties().into_iter().map(|(n, _)| n).collect();
        for name in ["MemoryMax", "MemorySwapMax", "TasksMax"] {
            assert!(names.contains(&name), "{names:?}");
        }
    }
}
