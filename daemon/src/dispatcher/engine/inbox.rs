//! What each message has the engine do.

use std::sync::Arc;

use super::{Engine, capacity, ledger::accounts_of};
use crate::{
    dispatcher::{
        handle::Message,
        turn::{Act, Turn},
    },
    store::StoreError,
};

impl Engine {
    /// Does what a message asks for, and answers when the turn is durable.
    pub(super) fn take(&mut self, turn: &mut Turn, message: Message) -> Result<(), StoreError> {
        match message {
            Message::Submit(submission, reply) => {
                let answer = self.submit(turn, *submission)?;
                turn.reply_submitted(reply, answer);
            }
            Message::Rerun(order, reply) => {
                let answer = self.rerun(turn, *order)?;
                turn.reply_submitted(reply, answer);
            }
            Message::Cancel {
                ids,
                by,
                order,
                reply,
            } => {
                let mut answers = Vec::with_capacity(ids.len());
                for id in ids {
                    answers.push(self.cancel(turn, id, by.clone(), order)?);
                }
                turn.reply(reply, answers);
            }
            Message::Hold { id, by, reply } => {
                let answer = self.hold(turn, id, by)?;
                turn.reply(reply, answer);
            }
            Message::Release { id, by, reply } => {
                let answer = self.release(turn, id, by)?;
                turn.reply(reply, answer);
            }
            Message::SetSchedules(known, reply) => {
                let rows = Self::set_schedules(turn, known)?;
                turn.reply(reply, rows);
            }
            Message::Fire(firing, reply) => {
                let answer = self.fire(turn, *firing)?;
                turn.reply(reply, answer);
            }
            Message::ClockSet => self.follow_the_wall(turn),
            Message::Pause {
                agent,
                paused,
                reply,
            } => {
                let changed = self.schedule.set_paused(agent.as_deref(), paused);
                if changed {
                    let name = agent.unwrap_or_default();
                    turn.batch.set_paused(&name, paused)?;
                }
                turn.reply(reply, changed);
            }
            Message::ClearQuota { account, reply } => {
                let cleared = self.forget_account(turn, &account)?;
                if cleared {
                    tracing::info!(account, "opened by a person");
                }
                turn.reply(reply, cleared);
            }
            Message::ForgetSession { agent, id, reply } => {
                let answer = Self::forget_session(turn, &agent, &id)?;
                turn.reply(reply, answer);
            }
            Message::Prune(order, reply) => {
                let pruned = self.prune(turn, *order)?;
                turn.reply(reply, pruned);
            }
            Message::SetTold { way, upto, reply } => {
                turn.batch.set_told(way, upto)?;
                turn.reply(reply, ());
            }
            Message::Overview(reply) => {
                let overview = self.overview(turn.batch.revision());
                turn.reply(reply, overview);
            }
            Message::Recover(reply) => {
                let confirmed = self.recovery.confirm(turn.now);
                turn.reply(reply, confirmed);
            }
            Message::Reload(config, reply) => {
                self.schedule.set_capacity(capacity(&config));
                self.schedule.set_accounts(accounts_of(&config));
                self.parts.config = Arc::clone(&config);
                turn.acts.push(Act::Reconfigure(config));
                turn.reply(reply, ());
            }
            Message::ShutDown(how, reply) => self.shut_down(turn, how, reply),
            Message::Report(report) => self.hear(turn, report)?,
            Message::Say(statement, reply) => {
                let answer = self.said(turn, *statement)?;
                turn.reply(reply, answer);
            }
        }
        Ok(())
    }
}
