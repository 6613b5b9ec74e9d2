//! What `cargo metadata` says about the workspace and everything it builds from, on this machine's platform.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The resolved packages.
pub(crate) struct Metadata {
    /// By cargo's id.
    pub(crate) packages: BTreeMap<String, Package>,
}

/// One package.
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its licence expression; none = none named.
    pub(crate) licence: Option<String>,
    /// True when it is of this workspace.
    pub(crate) ours: bool,
    /// The ids of what it needs to be built and run: normal and build dependencies.
    pub(crate) needs: BTreeSet<String>,
}

// === impl Metadata ===

impl Metadata {
    /// Asks cargo, which needs no network once the workspace was built.
    pub(crate) fn read() -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .args([
                "metadata",
                "--offline",
                "--locked",
                "--format-version",
                "1",
                "--filter-platform",
                &host(),
            ])
            .current_dir(xtask::root())
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        Self::from_json(&serde_json::from_slice(&output.stdout).expect("cargo writes JSON"))
    }

    fn from_json(json: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let list = |value: &Value| value.as_array().expect("a list").clone();
        let ours: BTreeSet<String> = list(&json["workspace_members"]).iter().map(text).collect();
        let mut packages: BTreeMap<String, Package> = list(&json["packages"])
            .iter()
            .map(|package| {
                let id = text(&package["id"]);
                let package = Package {
                    name: text(&package["name"]),
                    version: text(&package["version"]),
                    licence: package["license"].as_str().map(str::to_owned),
                    ours: ours.contains(&id),
                    needs: BTreeSet::new(),
                };
                (id, package)
            })
            .collect();
        for node in list(&json["resolve"]["nodes"]) {
            let needs = list(&node["deps"])
                .iter()
                .filter(|dep| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev"))
                .map(|dep| text(&dep["pkg"]))
                .collect();
            packages.get_mut(&text(&node["id"])).expect("every node is a package").needs = needs;
        }
        Self { packages }
    }

    /// The id of a package of this workspace.
    pub(crate) fn id(&self, name: &str) -> &str {
        let mut found = self.packages.iter().filter(|(_, package)| package.ours && package.name == name);
        found.next().unwrap_or_else(|| panic!("the workspace has no package {name}")).0
    }

    /// The packages that one package needs, directly or not, itself included.
    pub(crate) fn reach(&self, name: &str) -> Vec<&Package> {
        let mut seen = BTreeSet::new();
        let mut open = vec![self.id(name)];
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.packages[id].needs.iter().map(String::as_str));
            }
        }
        seen.into_iter().map(|id| &self.packages[id]).collect()
    }
}

/// The platform that this machine builds for.
fn host() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("-vV").output().expect("rustc starts");
    let text = String::from_utf8(output.stdout).expect("rustc writes text");
    text.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned()
}
