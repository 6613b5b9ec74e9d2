//! One file for each workload endpoint whose policy is in the kernel: what the CNI plugin waits for
//! (`spec/agent.md` 9).
//!
//! Names and contents are v3's. Files appear whole (written beside, then renamed) and only after the commit that
//! programmed the endpoint; those of an earlier run stay until the first complete commit says what is true now.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use margay_intent::{WorkloadEndpoint, WorkloadId};
use margay_net::IpVersion;
use serde_json::json;
use tracing::warn;

use crate::board::{Board, EndpointId};

/// The folder below the prefix.
const FOLDER: &str = "endpoint-status";

/// The files of one folder.
#[derive(Debug)]
pub(crate) struct EndpointFiles {
    folder: PathBuf,
    /// What stands there, by file name; none = nobody has looked yet.
    written: Option<BTreeMap<String, String>>,
}

// === impl EndpointFiles ===

impl EndpointFiles {
    /// Those below `prefix`.
    pub(crate) fn new(prefix: &Path) -> Self {
        Self { folder: prefix.join(FOLDER), written: None }
    }

    /// Makes the files say what the board says. What fails is tried again at the next call.
    pub(crate) fn update(&mut self, board: &Board) {
        let wanted: BTreeMap<String, String> = {
            let known = board.lock();
            if !known.programmed_once {
                return;
            }
            let programmed = known.endpoints.iter().filter(|(_, endpoint)| endpoint.programmed);
            let text = |(id, endpoint): (&EndpointId, &crate::board::Endpoint)| match (id, &endpoint.workload)
            {
                (EndpointId::Workload(id), Some(workload)) => Some((file_name(id), contents(workload))),
                _ => None,
            };
            programmed.filter_map(text).collect()
        };
        if let Err(error) = self.write(wanted) {
            warn!(%error, folder = %self.folder.display(), "writing endpoint status files failed");
        }
    }

    fn write(&mut self, wanted: BTreeMap<String, String>) -> io::Result<()> {
        let mut written = match self.written.take() {
            Some(written) => written,
            None => self.read()?,
        };
        let outcome = self.replace(&wanted, &mut written);
        self.written = Some(written);
        outcome
    }

    fn replace(
        &self,
        wanted: &BTreeMap<String, String>,
        written: &mut BTreeMap<String, String>,
    ) -> io::Result<()> {
        let gone: Vec<String> = written.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for name in gone {
            match std::fs::remove_file(self.folder.join(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => drop(written.remove(&name)),
            }
        }
        for (name, text) in wanted {
            if written.get(name) != Some(text) {
                // A dot in front: readers look for names that begin with an orchestrator.
                let beside = self.folder.join(format!(".{name}"));
                std::fs::write(&beside, text)?;
                std::fs::rename(&beside, self.folder.join(name))?;
                written.insert(name.clone(), text.clone());
            }
        }
        Ok(())
    }

    /// What an earlier run left; what is no file of ours is left alone, but halves of ours go.
    fn read(&self) -> io::Result<BTreeMap<String, String>> {
        std::fs::create_dir_all(&self.folder)?;
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if entry.file_type()?.is_file() && name.matches(' ').count() == 2 {
                found.insert(name, std::fs::read_to_string(entry.path()).unwrap_or_default());
            }
        }
        Ok(found)
    }
}

/// Removes every file, when there is no agent any more that answers for them.
pub(crate) fn remove_all(prefix: &Path, removed: &mut Vec<String>, failed: &mut Vec<String>) {
    let mut files = EndpointFiles::new(prefix);
    if !files.folder.exists() {
        return;
    }
    let count = match files.read() {
        Ok(found) => found.len(),
        Err(error) => return failed.push(format!("endpoint status files: {error}")),
    };
    match files.write(BTreeMap::new()) {
        Ok(()) if count > 0 => removed.push(format!("{count} endpoint status files")),
        Ok(()) => {}
        Err(error) => failed.push(format!("endpoint status files: {error}")),
    }
}

// === helpers ===

/// The three names, each escaped, with blanks between.
fn file_name(id: &WorkloadId) -> String {
    [&id.orchestrator, &id.workload, &id.endpoint].map(|part| path_escape(part)).join(" ")
}

/// As Go's `url.PathEscape`.
fn path_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+=:@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn contents(workload: &Arc<WorkloadEndpoint>) -> String {
    let nets = |version: IpVersion| -> Vec<String> {
        workload.nets.iter().filter(|net| net.version() == version).map(ToString::to_string).collect()
    };
    let mut text = json!({
        "ifaceName": workload.interface.as_str(),
        "mac": workload.mac.map(|mac| mac.to_string()).unwrap_or_default(),
        "ipv4Nets": nets(IpVersion::V4),
        "ipv6Nets": nets(IpVersion::V6),
    })
    .to_string();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    use margay_intent::{Program, WorkloadEndpoint, WorkloadId};

    use super::{EndpointFiles, path_escape};
    use crate::board::{Board, Endpoint, EndpointId, EndpointStatus};

    fn id(name: &str) -> EndpointId {
        EndpointId::Workload(WorkloadId {
            orchestrator: "cni".into(),
            workload: name.into(),
            endpoint: "eth0".into(),
        })
    }

    fn endpoint(programmed: bool) -> Endpoint {
        let workload = WorkloadEndpoint {
            interface: "cali1".parse().unwrap(),
            active: true,
            mac: None,
            nets: vec!["10.65.0.2/32".parse().unwrap(), "fd00::2/128".parse().unwrap()],
            nats: Vec::new(),
            ingress: Program::default(),
            egress: Program::default(),
        };
        let workload = Some(Arc::new(workload));
        Endpoint { status: EndpointStatus::Up, programmed, workload }
    }

    fn files(prefix: &Path) -> BTreeMap<String, String> {
        let entries = std::fs::read_dir(prefix.join("endpoint-status")).unwrap();
        entries
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
            })
            .collect()
    }

    #[test]
    fn a_file_says_that_an_endpoint_is_programmed() {
        let prefix = tempfile::tempdir().unwrap();
        let folder = prefix.path().join("endpoint-status");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("cni old eth0"), "{}").unwrap();
        std::fs::write(folder.join("foreign"), "kept").unwrap();
        let board = Board::default();
        let mut written = EndpointFiles::new(prefix.path());
        board.lock().endpoints.insert(id("a/b"), endpoint(true));
        written.update(&board);
        assert!(files(prefix.path()).contains_key("cni old eth0"), "nothing is said before the first commit");

        board.lock().programmed_once = true;
        board.lock().endpoints.insert(id("later"), endpoint(false));
        written.update(&board);
        let text = r#"{"ifaceName":"cali1","mac":"","ipv4Nets":["10.65.0.2/32"],"ipv6Nets":["fd00::2/128"]}"#;
        let expected = [("cni a%2Fb eth0", format!("{text}\n")), ("foreign", "kept".to_owned())];
        let expected = BTreeMap::from(expected.map(|(name, text)| (name.to_owned(), text)));
        assert_eq!(files(prefix.path()), expected);

        board.lock().endpoints.clear();
        written.update(&board);
        assert_eq!(files(prefix.path()).into_keys().collect::<Vec<_>>(), ["foreign"]);
    }

    #[test]
    fn names_are_escaped_as_go_does() {
        assert_eq!(path_escape("a b/c%;,?$&+=:@-_.~é"), "a%20b%2Fc%25%3B%2C%3F$&+=:@-_.~%C3%A9");
    }
}
