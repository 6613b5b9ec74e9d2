//! `margay cni install`: puts the plugins and a network configuration where runtimes look (`spec/cni.md` 17).
//!
//! Each file appears whole or not at all: written beside its place, flushed, then renamed. Nothing is ever setuid.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use margay_client::{ExitCode, Invocation};
use serde_json::Value;

/// The names that runtimes call the plugins by.
const PLUGINS: [&str; 2] = ["calico", "calico-ipam"];

/// The name of the configuration when `CNI_CONF_NAME` says none.
const CONF_NAME: &str = "10-calico.conflist";

/// The configuration when neither `CNI_NETWORK_CONFIG_FILE` nor `CNI_NETWORK_CONFIG` says one.
const TEMPLATE: &str = r#"{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "calico",
      "log_level": "__LOG_LEVEL__",
      "etcd_endpoints": "__ETCD_ENDPOINTS__",
      "etcd_key_file": "__ETCD_KEY_FILE__",
      "etcd_cert_file": "__ETCD_CERT_FILE__",
      "etcd_ca_cert_file": "__ETCD_CA_CERT_FILE__",
      "nodename": "__KUBERNETES_NODE_NAME__",
      "ipam": { "type": "calico-ipam" }
    },
    { "type": "portmap", "snat": true, "capabilities": { "portMappings": true } },
    { "type": "bandwidth", "capabilities": { "bandwidth": true } }
  ]
}
"#;

/// Where to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallOptions {
    /// Where runtimes look for plugins; usually `/opt/cni/bin`.
    pub bin_dir: PathBuf,
    /// Where runtimes look for configurations; usually `/etc/cni/net.d`.
    pub conf_dir: PathBuf,
}

/// Installs plugins and configuration; what was done goes to stdout, line by line.
pub fn install(options: &InstallOptions, invocation: &mut Invocation<'_>) -> ExitCode {
    let (bin_dir, conf_dir) = (invocation.cwd.join(&options.bin_dir), invocation.cwd.join(&options.conf_dir));
    let done = install_plugins(&bin_dir, &invocation.env).and_then(|mut done| {
        done.extend(install_tls(&conf_dir, &invocation.env)?);
        done.push(install_conf(&conf_dir, &invocation.env)?);
        Ok(done)
    });
    let (text, exit, out): (String, _, &mut (dyn io::Write + Send)) = match done {
        Ok(done) => {
            (done.iter().map(|line| format!("{line}\n")).collect(), ExitCode::SUCCESS, invocation.stdout)
        }
        Err(reason) => (format!("margay cni install: {reason}\n"), ExitCode::FAILURE, invocation.stderr),
    };
    // Nobody is left to tell when the stream is closed.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    exit
}

fn text<'e>(env: &'e BTreeMap<String, OsString>, name: &str) -> Option<&'e str> {
    env.get(name).and_then(|value| value.to_str()).filter(|value| !value.is_empty())
}

/// The second name is a second link to the first file: the main plugin then knows the IPAM plugin for itself.
fn install_plugins(directory: &Path, env: &BTreeMap<String, OsString>) -> Result<Vec<String>, String> {
    let skip: Vec<&str> = text(env, "SKIP_CNI_BINARIES").unwrap_or_default().split(',').collect();
    let update = text(env, "UPDATE_CNI_BINARIES") != Some("false");
    std::fs::create_dir_all(directory).map_err(|error| format!("making {}: {error}", directory.display()))?;
    let (mut done, mut first): (Vec<String>, Option<PathBuf>) = (Vec::new(), None);
    for name in PLUGINS.into_iter().filter(|name| !skip.contains(name)) {
        let path = directory.join(name);
        if !update && path.exists() {
            done.push(format!("kept {}", path.display()));
            continue;
        }
        let temporary = beside(&path);
        // A left-over of an earlier attempt.
        let _ = std::fs::remove_file(&temporary);
        let linked = first.as_ref().is_some_and(|first| std::fs::hard_link(first, &temporary).is_ok());
        if !linked {
            copy_program(&temporary).map_err(|error| format!("writing {}: {error}", temporary.display()))?;
        }
        std::fs::rename(&temporary, &path)
            .map_err(|error| format!("renaming to {}: {error}", path.display()))?;
        done.push(format!("installed {}", path.display()));
        first.get_or_insert(path);
    }
    sync(directory).map_err(|error| format!("writing {}: {error}", directory.display()))?;
    Ok(done)
}

fn copy_program(to: &Path) -> io::Result<()> {
    let mut program = File::open("/proc/self/exe")?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(to)?;
    io::copy(&mut program, &mut file)?;
    // Whatever the umask is; and never a set-user-id bit.
    file.set_permissions(std::fs::Permissions::from_mode(0o755))?;
    file.sync_all()
}

/// Copies the certificates of etcd, where there are any, into `calico-tls` beside the configuration.
fn install_tls(conf_dir: &Path, env: &BTreeMap<String, OsString>) -> Result<Vec<String>, String> {
    let assets = PathBuf::from(text(env, "TLS_ASSETS_DIR").unwrap_or("/calico-secrets"));
    let mut done = Vec::new();
    for name in ["etcd-ca", "etcd-cert", "etcd-key"] {
        let Ok(content) = std::fs::read(assets.join(name)) else { continue };
        let path = conf_dir.join("calico-tls").join(name);
        write_whole(&path, &content, 0o600)
            .map_err(|error| format!("writing {}: {error}", path.display()))?;
        done.push(format!("installed {}", path.display()));
    }
    Ok(done)
}

fn install_conf(directory: &Path, env: &BTreeMap<String, OsString>) -> Result<String, String> {
    let template = match text(env, "CNI_NETWORK_CONFIG_FILE") {
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("reading {file}: {error}"))?,
        None => text(env, "CNI_NETWORK_CONFIG").unwrap_or(TEMPLATE).to_owned(),
    };
    let conf = fill(&template, directory, env);
    let conf = without_empty(&conf)?;
    let name = text(env, "CNI_CONF_NAME").unwrap_or(CONF_NAME);
    if name.contains('/') {
        return Err(format!("CNI_CONF_NAME: {name} is no file name"));
    }
    let path = directory.join(name);
    write_whole(&path, conf.as_bytes(), 0o600)
        .map_err(|error| format!("writing {}: {error}", path.display()))?;
    if let Some(old) = text(env, "CNI_OLD_CONF_NAME").filter(|old| *old != name && !old.contains('/')) {
        // It may never have been there.
        let _ = std::fs::remove_file(directory.join(old));
    }
    Ok(format!("installed {}", path.display()))
}

/// Puts the host's values in the place of their names.
fn fill(template: &str, conf_dir: &Path, env: &BTreeMap<String, OsString>) -> String {
    let of = |name: &str, default: &str| text(env, name).unwrap_or(default).to_owned();
    let tls = |name: &str| {
        let path = conf_dir.join("calico-tls").join(name);
        if path.exists() { path.display().to_string() } else { String::new() }
    };
    let values = [
        ("__ETCD_CA_CERT_FILE__", tls("etcd-ca")),
        ("__ETCD_CERT_FILE__", tls("etcd-cert")),
        ("__ETCD_KEY_FILE__", tls("etcd-key")),
        ("__ETCD_ENDPOINTS__", of("ETCD_ENDPOINTS", "")),
        ("__ETCD_DISCOVERY_SRV__", of("ETCD_DISCOVERY_SRV", "")),
        ("__LOG_LEVEL__", of("LOG_LEVEL", "warning")),
        ("__LOG_FILE_PATH__", of("LOG_FILE_PATH", "/var/log/calico/cni/cni.log")),
        ("__LOG_FILE_MAX_SIZE__", of("LOG_FILE_MAX_SIZE", "100")),
        ("__LOG_FILE_MAX_AGE__", of("LOG_FILE_MAX_AGE", "30")),
        ("__LOG_FILE_MAX_COUNT__", of("LOG_FILE_MAX_COUNT", "10")),
        ("__DATASTORE_TYPE__", of("DATASTORE_TYPE", "etcdv2")),
        ("__CNI_MTU__", of("CNI_MTU", "1500")),
        ("__REQUIRE_MTU_FILE__", of("REQUIRE_MTU_FILE", "false")),
        ("__CALICO_API_GROUP__", of("CALICO_API_GROUP", "crd.projectcalico.org/v1")),
        ("__KUBERNETES_NODE_NAME__", of("KUBERNETES_NODE_NAME", "")),
        ("__KUBERNETES_SERVICE_HOST__", of("KUBERNETES_SERVICE_HOST", "")),
        ("__KUBERNETES_SERVICE_PORT__", of("KUBERNETES_SERVICE_PORT", "")),
        ("__KUBECONFIG_FILENAME__", of("KUBECONFIG_FILE_NAME", "calico-kubeconfig")),
        ("__KUBECONFIG_FILEPATH__", conf_dir.join("calico-kubeconfig").display().to_string()),
        ("__SERVICEACCOUNT_TOKEN__", token()),
    ];
    let mut filled = template.to_owned();
    for (name, value) in values {
        // Inside quotes, as JSON spells the value.
        let spelled = Value::String(value).to_string();
        filled = filled.replace(name, &spelled[1..spelled.len() - 1]);
    }
    filled
}

fn token() -> String {
    let path = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// The configuration, checked, without members that stayed empty. Never repeats what stands in it: it may hold a token.
fn without_empty(text: &str) -> Result<String, String> {
    let mut conf: Value = serde_json::from_str(text).map_err(|error| {
        format!("CNI config is not valid JSON: line {} column {}", error.line(), error.column())
    })?;
    let plugins =
        conf.get_mut("plugins").and_then(Value::as_array_mut).map_or(&mut [][..], Vec::as_mut_slice);
    for plugin in plugins.iter_mut().filter_map(Value::as_object_mut) {
        plugin.retain(|_, value| value.as_str() != Some(""));
    }
    serde_json::to_string_pretty(&conf).map(|text| text + "\n").map_err(|error| error.to_string())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

fn write_whole(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(directory)?;
    let temporary = beside(path);
    // A left-over of an earlier attempt.
    let _ = std::fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    sync(directory)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use serde_json::Value;

    use super::{fill, install_conf, install_plugins, install_tls};

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, OsString> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect()
    }

    #[test]
    fn both_names_are_one_file_that_anyone_may_run() {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().join("bin");
        assert_eq!(install_plugins(&bin, &env(&[])).unwrap().len(), 2);
        let [plugin, ipam] = ["calico", "calico-ipam"].map(|name| std::fs::metadata(bin.join(name)).unwrap());
        assert_eq!(plugin.ino(), ipam.ino());
        assert_eq!(plugin.permissions().mode() & 0o7777, 0o755);
        let before = plugin.ino();
        let kept = install_plugins(&bin, &env(&[("UPDATE_CNI_BINARIES", "false")])).unwrap();
        assert!(kept.iter().all(|line| line.starts_with("kept ")), "{kept:?}");
        install_plugins(&bin, &env(&[("SKIP_CNI_BINARIES", "calico-ipam")])).unwrap();
        assert_ne!(std::fs::metadata(bin.join("calico")).unwrap().ino(), before, "renamed into place");
        assert_eq!(std::fs::metadata(bin.join("calico-ipam")).unwrap().ino(), before);
        assert_eq!(std::fs::read_dir(&bin).unwrap().count(), 2, "nothing is left beside them");
    }

    #[test]
    fn the_configuration_is_filled_checked_and_for_root_alone() {
        let directory = tempfile::tempdir().unwrap();
        let assets = directory.path().join("assets");
        std::fs::create_dir(&assets).unwrap();
        std::fs::write(assets.join("etcd-ca"), "CA").unwrap();
        let conf_dir = directory.path().join("net.d");
        let env = env(&[
            ("TLS_ASSETS_DIR", assets.to_str().unwrap()),
            ("ETCD_ENDPOINTS", "http://a:1,http://b:\"2"),
            ("CNI_OLD_CONF_NAME", "old.conf"),
        ]);
        std::fs::create_dir(&conf_dir).unwrap();
        std::fs::write(conf_dir.join("old.conf"), "{}").unwrap();
        install_tls(&conf_dir, &env).unwrap();
        install_conf(&conf_dir, &env).unwrap();
        let path = conf_dir.join("10-calico.conflist");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let conf: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let plugin = &conf["plugins"][0];
        assert_eq!(plugin["etcd_endpoints"], "http://a:1,http://b:\"2");
        assert!(plugin["etcd_ca_cert_file"].as_str().unwrap().ends_with("calico-tls/etcd-ca"));
        assert!(plugin.get("etcd_key_file").is_none() && plugin.get("nodename").is_none());
        assert!(!conf_dir.join("old.conf").exists());
    }

    #[test]
    fn what_is_no_json_is_refused_without_repeating_it() {
        let directory = tempfile::tempdir().unwrap();
        let bad = env(&[("CNI_NETWORK_CONFIG", "{\"token\": s3cret}")]);
        let reason = install_conf(directory.path(), &bad).unwrap_err();
        assert!(reason.starts_with("CNI config is not valid JSON") && !reason.contains("s3cret"), "{reason}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let name = env(&[("CNI_CONF_NAME", "../x")]);
        assert!(install_conf(directory.path(), &name).is_err());
        assert_eq!(fill("\"__CNI_MTU__\"", directory.path(), &env(&[])), "\"1500\"");
    }
}
