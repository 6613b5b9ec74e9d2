//! Which program a call means: by the name it was called under.
//!
//! Pure, and done before anything else starts.

use std::ffi::OsStr;

use margay_ctl::Program;

/// The programs in this executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// `calicoctl`, or `margay` itself.
    Ctl(Program),
    /// `calico-felix`: the agent.
    Agent,
    /// `calico`: the CNI plugin.
    Cni,
    /// `calico-ipam`: the CNI IPAM plugin.
    CniIpam,
}

/// The program that the name in `argv[0]` stands for. Any name we do not know is `margay` itself.
pub(crate) fn dispatch(argv0: &OsStr) -> Called {
    let path = std::path::Path::new(argv0);
    match path.file_name().and_then(OsStr::to_str) {
        Some("calicoctl") => Called::Ctl(Program::Calicoctl),
        Some("calico-felix") => Called::Agent,
        Some("calico") => Called::Cni,
        Some("calico-ipam") => Called::CniIpam,
        _ => Called::Ctl(Program::Margay),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use margay_ctl::Program::{Calicoctl, Margay};

    use super::Called::{Agent, Cni, CniIpam, Ctl};
    use super::dispatch;

    #[test]
    fn the_last_component_of_the_name_decides() {
        for (name, called) in [
            ("calicoctl", Ctl(Calicoctl)),
            ("/usr/local/bin/calicoctl", Ctl(Calicoctl)),
            ("./calicoctl", Ctl(Calicoctl)),
            ("margay", Ctl(Margay)),
            ("/opt/calicoctl/margay", Ctl(Margay)),
            ("calicoctl-old", Ctl(Margay)),
            ("", Ctl(Margay)),
            ("/usr/bin/calico-felix", Agent),
            ("/opt/cni/bin/calico", Cni),
            ("/opt/cni/bin/calico-ipam", CniIpam),
        ] {
            assert_eq!(dispatch(OsStr::new(name)), called, "{name}");
        }
    }
}
