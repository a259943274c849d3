//! The Enter key.

use std::{
    future::pending,
    io::{self, BufRead, IsTerminal},
    thread,
};

use tokio::sync::mpsc;

/// Lines from the terminal, one for each time that Enter is pressed.
pub(super) struct Keys {
    lines: mpsc::UnboundedReceiver<()>,
}

impl Keys {
    /// `None` if nobody can press a key. The thread that reads ends with the process: a read cannot be called off.
    pub(super) fn of_stdin() -> Option<Self> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let (sender, lines) = mpsc::unbounded_channel();
        let read = move || {
            // The end of the input is no key.
            for _ in io::stdin().lock().lines().map_while(Result::ok) {
                if sender.send(()).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("keys".to_owned()).spawn(read).ok()?;
        Some(Self { lines })
    }
}

/// Waits for the next one; what was pressed before does not count. Without keys it waits for ever.
pub(super) async fn pressed(keys: Option<Keys>) {
    let Some(Keys { mut lines }) = keys else { return pending().await };
    while lines.try_recv().is_ok() {}
    if lines.recv().await.is_none() {
        pending::<()>().await;
    }
}
