//! What the model wants of the daemon: one question of a kind at a time.

use std::{
    future::{Future, pending},
    pin::Pin,
    time::Duration,
};

use agentd_proto::v1;
use tokio::{sync::Notify, time::sleep};

use super::{
    event::{Action, Event},
    feed::Sender,
    transcript::{Line, MOST_LINES},
};
use crate::{
    client::Client,
    command::{
        hold::{hold_one, release_one},
        pause::{pause, resume},
        rerun::{rerun_one, runs_again},
        stop::stop_one,
    },
    error::{Error, Kind},
    follow::{Listener, Selection, listen},
    output::tasks::result_line,
    reconnect::{Notes, Patience},
};

/// Who scrolls through tasks does not want the story of each.
const CHOSEN_FOR: Duration = Duration::from_millis(60);

type Job = Pin<Box<dyn Future<Output = ()>>>;

/// What is under way.
#[derive(Default)]
pub(super) struct Jobs {
    story: Option<Job>,
    transcript: Option<Job>,
    action: Option<Job>,
}

impl Jobs {
    /// Goes on with all of it, and never ends; dropping this costs nothing.
    pub(super) async fn work(&mut self) {
        loop {
            tokio::select! {
                () = end_of(&mut self.story) => self.story = None,
                () = end_of(&mut self.transcript) => self.transcript = None,
                () = end_of(&mut self.action) => self.action = None,
            }
        }
    }

    /// Asks for the story of a task, and not for the one before any more.
    pub(super) fn explain(&mut self, client: &Client, sender: &Sender, task: u64) {
        // While the daemon is away there is no answer: it is asked again when
        // it is back.
        let (client, sender) = (client.patient(Duration::ZERO), sender.clone());
        self.story = Some(Box::pin(async move {
            sleep(CHOSEN_FOR).await;
            let told = client.explain(task).await.map(Box::new);
            let told = told.map_err(|error| what(&error));
            // Nobody listens: the program ends.
            drop(sender.send(Event::Explained(task, told)).await);
        }));
    }

    /// Reads a transcript along, and not the one before any more.
    pub(super) fn follow(&mut self, client: &Client, sender: &Sender, task: u64, opening: u64) {
        let (client, sender) = (client.clone(), sender.clone());
        self.transcript = Some(Box::pin(async move {
            let selection = Selection {
                task,
                tail: u64::try_from(MOST_LINES).unwrap_or(u64::MAX),
                ..Selection::default()
            };
            let mut teller = Teller {
                sender: sender.clone(),
                opening,
            };
            let ended = listen(&client, &mut teller, selection, Patience::endless(&client)).await;
            let text = match ended {
                Ok(task) => result_line(&task),
                Err(error) => what(&error),
            };
            drop(sender.send(Event::NoMore(opening, text)).await);
        }));
    }

    /// Reads no transcript any more.
    pub(super) fn unfollow(&mut self) {
        self.transcript = None;
    }

    /// Has the daemon do something; whatever it says is told.
    pub(super) fn act(
        &mut self,
        client: &Client,
        sender: &Sender,
        refresh: &'static Notify,
        action: Action,
    ) {
        let (client, sender) = (client.clone(), sender.clone());
        self.action = Some(Box::pin(async move {
            let said = done(&client, action).await.map_err(|error| what(&error));
            refresh.notify_one();
            drop(sender.send(Event::Answered(said)).await);
        }));
    }
}

/// When the job is done; never if there is none.
async fn end_of(job: &mut Option<Job>) {
    match job {
        Some(job) => job.await,
        None => pending().await,
    }
}

async fn done(client: &Client, action: Action) -> Result<String, Error> {
    match action {
        Action::Cancel(id) => Ok(stop_one(client, id, false).await?.words),
        Action::Kill(id) => Ok(stop_one(client, id, true).await?.words),
        Action::Rerun(id) => {
            let (task, _) = rerun_one(client, id, v1::RerunRequest::default()).await?;
            Ok(runs_again(task.id, id))
        }
        Action::Hold(id) => Ok(hold_one(client, id).await?.words),
        Action::Release(id) => Ok(release_one(client, id).await?.words),
        Action::Pause => pause(client, None).await,
        Action::Resume => resume(client, None).await,
    }
}

/// What went wrong and what to do, without the name of the program.
pub(super) fn what(error: &Error) -> String {
    let text = error.render();
    text.strip_prefix("agentctl: ").unwrap_or(&text).to_owned()
}

/// Tells the model what is in a transcript.
struct Teller {
    sender: Sender,
    opening: u64,
}

impl Teller {
    async fn tell(&self, lines: Vec<Line>) -> Result<(), Error> {
        let event = Event::Lines(self.opening, lines);
        let sent = self.sender.send(event).await;
        sent.map_err(|_| Error::new(Kind::Other, "nobody reads the transcript"))
    }
}

impl Notes for Teller {
    fn note(&mut self, _text: &str) {
        // That the daemon is away is said at the head of the screen.
    }
}

impl Listener for Teller {
    async fn lines(&mut self, lines: Vec<v1::LogLine>) -> Result<(), Error> {
        self.tell(lines.into_iter().map(Line::from).collect()).await
    }

    async fn attempt(&mut self, task: u64, attempt: u32) -> Result<(), Error> {
        let note = Line::note(&format!("attempt {task}.{attempt}"));
        self.tell(vec![note]).await
    }

    fn readable(&self) -> bool {
        true
    }
}
