//! `node checksystem`: is the kernel recent enough, and does it have the modules that a node needs.

use std::io::{self, Write};
use std::path::Path;

use super::Host;
use margay_client::{ExitCode, Invocation};

/// Network namespaces and veth pairs came with it.
const LEAST: &str = "2.6.24";

/// The modules that are looked for, in order.
const MODULES: [&str; 2] = ["xt_set", "ip6_tables"];

/// Carries out `node checksystem`.
pub(super) fn checksystem(host: &dyn Host, invocation: &mut Invocation<'_>) -> io::Result<ExitCode> {
    let release = host.kernel_release();
    let stdout = &mut *invocation.stdout;
    writeln!(stdout, "Checking kernel version...")?;
    let recent = numbers(&release) >= numbers(LEAST);
    verdict(stdout, &release, recent)?;
    if !recent {
        writeln!(
            stdout,
            "Minimum kernel version to run Calico is {LEAST}. Detected kernel version: {release}"
        )?;
    }
    writeln!(stdout, "Checking kernel modules...")?;
    let complete = modules(host, &release, stdout)?;
    if recent && complete {
        writeln!(stdout, "System meets minimum system requirements to run Calico!")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(stdout, "System doesn't meet one or more minimum systems requirements to run Calico")?;
    Ok(ExitCode::FAILURE)
}

fn modules(host: &dyn Host, release: &str, stdout: &mut dyn Write) -> io::Result<bool> {
    let text =
        |path: String| host.read(Path::new(&path)).map(|text| String::from_utf8_lossy(&text).into_owned());
    let loadable = text(format!("/lib/modules/{release}/modules.dep")).unwrap_or_default();
    let built_in = text(format!("/lib/modules/{release}/modules.builtin")).unwrap_or_default();
    // COMPAT(lsmod): upstream fails when that program is missing; it prints this file.
    let loaded = text("/proc/modules".to_owned()).unwrap_or_default();
    let mut missing = Vec::new();
    for module in MODULES {
        let file = format!("/{module}.ko");
        let found = [&loadable, &built_in].iter().any(|list| list.contains(&file))
            || loaded.lines().any(|line| line.split_whitespace().next() == Some(module));
        if !found {
            writeln!(
                stdout,
                "WARNING: Unable to detect the {module} module as Loaded/Builtin module or lsmod"
            )?;
            missing.push(module);
        }
        verdict(stdout, module, found)?;
    }
    if missing == ["ip6_tables"] {
        writeln!(stdout, "WARNING: IPv6 will be unavailable as ip6_tables kernel module is not found")?;
        return Ok(true);
    }
    Ok(missing.is_empty())
}

fn verdict(stdout: &mut dyn Write, subject: &str, fine: bool) -> io::Result<()> {
    writeln!(stdout, "\t\t{subject:<20}\t\t\t\t\t{}", if fine { "OK" } else { "FAIL" })
}

/// The numbers a version starts with: `6.1.0-18-amd64` is 6, 1, 0.
fn numbers(version: &str) -> Vec<u64> {
    let plain = version.split(|letter: char| letter != '.' && !letter.is_ascii_digit()).next();
    plain.unwrap_or_default().split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
