//! `agentctl show`.

use agentd_proto::v1;
use clap::Args;

use crate::{
    cli::Context,
    error::{EXIT_OK, Error, Kind},
    id::{AttemptRef, resolve},
    output::{
        Output,
        json::{ATTEMPT, Document, TASK},
        page::{Format, Page},
    },
    view::{AttemptView, TaskDetail},
};

/// Show everything about a task and its attempts.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The task, or one attempt of it: 42, 42.2, @last, @last-failed.
    #[arg(value_name = "ID[.ATTEMPT]")]
    id: AttemptRef,

    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

impl Show {
    pub(crate) async fn run(self, cx: &mut Context) -> Result<u8, Error> {
        let client = cx.client().await?;
        let task = resolve(&client, self.id.task).await?;
        let got = client.get(task).await?;
        match self.id.attempt {
            None => show_task(&mut cx.out, got, self.output)?,
            Some(number) => {
                let attempt = find_attempt(got, task, number)?;
                show_attempt(&mut cx.out, attempt, self.output)?;
            }
        }
        Ok(EXIT_OK)
    }
}

fn find_attempt(got: v1::GetResponse, task: u64, number: u32) -> Result<v1::Attempt, Error> {
    let count = got.attempts.len();
    got.attempts
        .into_iter()
        .find(|attempt| attempt.number == number)
        .ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("task {task} has no attempt {number}"),
            )
            .because(match count {
                0 => "it has none yet".to_owned(),
                1 => "it has one".to_owned(),
                count => format!("it has {count}"),
            })
            .hint(format!("agentctl show {task} shows all"))
        })
}

fn show_task(out: &mut Output, got: v1::GetResponse, format: Format) -> Result<(), Error> {
    if let Some(script) = format.script() {
        return out.document(script, &Document::new(TASK, TaskDetail::from(got)));
    }
    let mut page = Page::new(out.color, out.now, out.zone());
    let task = got.task.unwrap_or_default();
    page.task(&task, &got.reruns);
    page.work(&task);
    for attempt in &got.attempts {
        page.attempt(attempt);
    }
    out.bytes(page.into_text().as_bytes())
}

fn show_attempt(out: &mut Output, attempt: v1::Attempt, format: Format) -> Result<(), Error> {
    if let Some(script) = format.script() {
        return out.document(script, &Document::new(ATTEMPT, AttemptView::from(attempt)));
    }
    let mut page = Page::new(out.color, out.now, out.zone());
    page.attempt(&attempt);
    out.bytes(page.into_text().as_bytes())
}
