//! Remembers where the last panic of each thread was, and marks whose output follows.

use std::{cell::RefCell, io::Write as _};

thread_local! {
    static LAST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Starts a line that names the function whose output follows; the node's reader takes it out.
pub(crate) const NAME_MARK: &str = "\u{1}ray:name:";

/// Notes the place and stack of each panic of this process before the default report is printed.
pub(crate) fn install() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().is::<super::execute::ExitActor>() {
            return;
        }
        let place = info.location().map_or_else(
            || "an unknown place".to_owned(),
            |at| format!("{}:{}", at.file(), at.line()),
        );
        let backtrace = std::backtrace::Backtrace::force_capture().to_string();
        LAST.set(Some((place, backtrace)));
        default(info);
    }));
}

/// Takes the place and stack of this thread's last panic.
pub(crate) fn take_last() -> (String, String) {
    LAST.take()
        .unwrap_or_else(|| ("an unknown place".to_owned(), String::new()))
}

/// Says to the node's reader that from here on the worker's own code prints.
pub(crate) fn begin_output() {
    let mut out = std::io::stdout().lock();
    let begun = out
        .write_all(format!("\n{NAME_MARK}\n").as_bytes())
        .and_then(|()| out.flush());
    if let Err(error) = begun {
        tracing::debug!(%error, "the output of this worker is closed");
    }
}

/// Marks on both output streams that `name` prints from here on.
pub(crate) fn announce(name: &str) {
    let line = format!("{NAME_MARK}{name}\n");
    let mut out = std::io::stdout().lock();
    let printed = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    let erred = std::io::stderr().lock().write_all(line.as_bytes());
    if let Err(error) = printed.and(erred) {
        tracing::debug!(%error, "the output of this worker is closed");
    }
}
