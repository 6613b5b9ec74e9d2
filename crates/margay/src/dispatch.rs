//! Which program a call means: by the name it was called under, or by the first word.
//!
//! Pure, and done before anything else starts.

use std::ffi::OsStr;

use margay_ctl::Program;

/// The program that the name in `argv[0]` stands for. Any name we do not know is `margay` itself.
pub(crate) fn dispatch(argv0: &OsStr) -> Program {
    let path = std::path::Path::new(argv0);
    match path.file_name().and_then(OsStr::to_str) {
        Some("calicoctl") => Program::Calicoctl,
        _ => Program::Margay,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use margay_ctl::Program;

    use super::dispatch;

    #[test]
    fn the_last_component_of_the_name_decides() {
        for (name, program) in [
            ("calicoctl", Program::Calicoctl),
            ("/usr/local/bin/calicoctl", Program::Calicoctl),
            ("./calicoctl", Program::Calicoctl),
            ("margay", Program::Margay),
            ("/opt/calicoctl/margay", Program::Margay),
            ("calicoctl-old", Program::Margay),
            ("", Program::Margay),
        ] {
            assert_eq!(dispatch(OsStr::new(name)), program, "{name}");
        }
    }
}
