//! [`Tasks`]: every task and thread has a name, an owner that waits for it, and a stop signal.

use std::future::Future;
use std::thread::JoinHandle;

use tokio::task::{Id, JoinSet};

use crate::Stop;

/// The tasks and threads of a program. One that ends before its time ends all.
pub struct Tasks {
    stop: Stop,
    tasks: JoinSet<()>,
    names: Vec<(Id, &'static str)>,
    threads: Vec<(&'static str, JoinHandle<()>)>,
}

/// Tells [`Tasks`] that a thread has ended, however it ended.
struct Ended {
    stop: Stop,
    name: &'static str,
}

// === impl Tasks ===

impl Tasks {
    /// No tasks yet; `stop` ends them.
    #[must_use]
    pub fn new(stop: Stop) -> Self {
        Self { stop, tasks: JoinSet::new(), names: Vec::new(), threads: Vec::new() }
    }

    /// Starts a task.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.names.push((id, name));
    }

    /// Starts a thread, which has to look at the stop signal by itself.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn thread(
        &mut self,
        name: &'static str,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        let ended = Ended { stop: self.stop.clone(), name };
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _ended = ended;
            body();
        })?;
        self.threads.push((name, handle));
        Ok(())
    }

    /// Waits for the stop signal, which a task that ends or panics gives too; then ends all tasks, lets `wake` wake
    /// threads that wait for something else, and waits for them. Returns the names of those that panicked.
    pub async fn finish(mut self, wake: impl FnOnce()) -> Vec<&'static str> {
        let mut panicked = Vec::new();
        while !self.stop.is_stopped() {
            tokio::select! {
                () = self.stop.stopped() => {}
                Some(ended) = self.tasks.join_next_with_id() => self.ended(&ended, &mut panicked),
                else => self.stop.stopped().await,
            }
        }
        // Tasks look at the stop signal where it matters; what still runs waits for something that no longer counts.
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(&ended, &mut panicked);
        }
        wake();
        for (name, handle) in self.threads {
            if handle.join().is_err() {
                panicked.push(name);
            }
        }
        panicked
    }

    fn ended(&self, ended: &Result<(Id, ()), tokio::task::JoinError>, panicked: &mut Vec<&'static str>) {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let name = self.names.iter().find(|(known, _)| *known == id).map_or("a task", |(_, name)| *name);
        if ended.as_ref().is_err_and(tokio::task::JoinError::is_panic) {
            panicked.push(name);
        }
        self.stop.stop(format!("{name} ended"));
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.stop.stop(format!("{} ended", self.name));
    }
}

#[cfg(test)]
mod tests {
    use super::Tasks;
    use crate::Stop;

    #[tokio::test]
    async fn a_task_that_ends_ends_all() {
        let stop = Stop::default();
        let mut tasks = Tasks::new(stop.clone());
        tasks.spawn("short", async {});
        tasks.spawn("endless", std::future::pending());
        let seen = stop.clone();
        tasks
            .thread("listener", move || {
                while !seen.is_stopped() {
                    std::thread::yield_now()
                }
            })
            .unwrap();
        assert_eq!(tasks.finish(|| ()).await, Vec::<&str>::new());
        assert_eq!(stop.reason().as_deref(), Some("short ended"));
    }

    #[tokio::test]
    async fn panics_are_told_by_name() {
        let stop = Stop::default();
        let mut tasks = Tasks::new(stop.clone());
        tasks.thread("broken thread", || panic!("on purpose")).unwrap();
        stop.stopped().await;
        tasks.spawn("idle", std::future::pending());
        assert_eq!(tasks.finish(|| ()).await, ["broken thread"]);
        assert_eq!(stop.reason().as_deref(), Some("broken thread ended"));
    }
}
