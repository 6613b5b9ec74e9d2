//! What a person reads when the program has a fault of its own.
//!
//! A panic still unwinds and ends with status 101. Its text is shown only when it was written in the source: a text put
//! together while running may hold a piece of a document or a secret, and people paste these lines into reports.

use std::any::Any;
use std::io::Write as _;
use std::panic::{Location, PanicHookInfo};

/// Makes every panic print [`report`] on stderr.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        // Nobody is left to tell when stderr is closed.
        let _ = std::io::stderr().write_all(report(panic.payload(), panic.location()).as_bytes());
    }));
}

/// Where it happened, what may be said about it, and what to do.
fn report(payload: &dyn Any, location: Option<&Location<'_>>) -> String {
    let place = location.map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
    let text = payload.downcast_ref::<&'static str>().map_or_else(String::new, |text| format!(": {text}"));
    format!(
        "margay {} stopped{place}{text}\n  \
         hint: this is a fault of the program, not of what it was given; please report this line and the command\n",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::report;

    #[test]
    fn a_text_of_the_source_is_shown_with_its_place() {
        let here = Location::caller();
        let shown = report(&"a list is never empty here", Some(here));
        let place = format!("stopped at {}:{}: a list is never empty here\n", here.file(), here.line());
        assert!(shown.contains(&place), "{shown}");
        assert!(shown.contains("please report"), "{shown}");
    }

    #[test]
    fn a_text_put_together_while_running_is_not_shown() {
        let shown = report(&format!("reading {}", "s3cret"), None);
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains(" stopped\n"), "{shown}");
    }
}
