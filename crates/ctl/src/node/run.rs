//! `node run`: checks the options, then prints or starts the container that is a Calico node.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use margay_net::{AsNumber, Ip, IpVersion};

use super::autodetect::{self, FIRST_FOUND, MethodError};
use super::{Ended, EtcdSettings, Host, NodeDatastore, as_root, fail, host};
use crate::grammar::ConfigPath;
use crate::grammar::command::NodeRunArgs;
use margay_client::{ExitCode, Invocation};

/// Time for short programs.
const SHORT: Duration = Duration::from_secs(60);

/// Time for `docker run`, which may have to download the image.
const DOWNLOAD: Duration = Duration::from_secs(60 * 60);

/// Time for the container to say that it started.
const START: Duration = Duration::from_secs(10);

/// The line by which the container says so.
const STARTED: &str = "Calico node started successfully";

/// An option or setting that is refused; `Display` is the text after `Error executing command: `, but for
/// [`Refused::NoFile`], whose text stands alone.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Ip(String),
    IpVersion(&'static str),
    AsNumber(String),
    Backend(String),
    Method(MethodError),
    NodeName,
    Config(String),
    NoFile(String),
    Datastore,
    Prefix(String),
    Labels,
}

/// The container to start, without the program that starts it.
#[derive(Debug, PartialEq, Eq)]
struct Container {
    init_system: bool,
    env: BTreeMap<&'static str, String>,
    volumes: Vec<(String, String)>,
    image: String,
}

// === impl Refused ===

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(text) => write!(f, "invalid IP address specified: {text}"),
            Self::IpVersion(option) => write!(f, "{option} is wrong IP version"),
            Self::AsNumber(text) => write!(f, "invalid AS Number specified: {text}"),
            Self::Backend(text) => write!(f, "unknown backend '{text}'"),
            Self::Method(error) => error.fmt(f),
            Self::NodeName => f.write_str("unable to determine node name"),
            Self::Config(_) => f.write_str("invalid config file"),
            Self::NoFile(line) => f.write_str(line),
            Self::Datastore => f.write_str("unsupported backend specified in config"),
            Self::Prefix(text) => write!(f, "invalid interface prefix '{text}'"),
            Self::Labels => f.write_str("invalid to disable Docker Networking and enable Container labels"),
        }
    }
}

impl Refused {
    /// What we can tell beyond upstream's line.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Config(reason) => Some(reason.clone()),
            Self::Datastore => {
                Some("the container is started for a datastore of the type etcdv2 only".to_owned())
            }
            Self::Method(MethodError::BadRegex { list, part }) if list != part => {
                Some(format!("this part is no regular expression: {part}"))
            }
            Self::Method(MethodError::Unknown(_)) => Some(
                "the methods are first-found, can-reach=DESTINATION, interface=REGEX,... and \
                 skip-interface=REGEX,..."
                    .to_owned(),
            ),
            Self::Backend(_) => Some("the backends are bird, gobgp and none".to_owned()),
            Self::Prefix(_) => Some("letters and digits may be used".to_owned()),
            Self::Ip(_)
            | Self::IpVersion(_)
            | Self::AsNumber(_)
            | Self::Method(_)
            | Self::NodeName
            | Self::NoFile(_)
            | Self::Labels => None,
        }
    }
}

// === impl Container ===

impl Container {
    /// The whole command line.
    fn command(&self) -> Vec<String> {
        let mut command: Vec<String> =
            ["docker", "run", "--net=host", "--privileged", "--name=calico-node"].map(str::to_owned).into();
        if self.init_system {
            command.push("--rm".to_owned());
        } else {
            command.extend(["-d", "--restart=always"].map(str::to_owned));
        }
        // COMPAT(order of -e): random upstream, by name here.
        for (name, value) in &self.env {
            command.extend(["-e".to_owned(), format!("{name}={value}")]);
        }
        for (outside, inside) in &self.volumes {
            command.extend(["-v".to_owned(), format!("{outside}:{inside}")]);
        }
        command.push(self.image.clone());
        command
    }
}

/// Carries out `node run`.
pub(super) fn run(
    args: &NodeRunArgs,
    datastore: &dyn Fn(&ConfigPath) -> NodeDatastore,
    host: &dyn Host,
    invocation: &mut Invocation<'_>,
) -> io::Result<ExitCode> {
    let container = match plan(args, datastore, host) {
        Ok(container) => container,
        Err(refused) => {
            if let Some(hint) = refused.hint() {
                writeln!(invocation.stderr, "hint: {hint}")?;
            }
            // COMPAT(absent settings file): upstream ends where it looks for the file, before it would add the prefix.
            if let Refused::NoFile(line) = &refused {
                writeln!(invocation.stdout, "{line}")?;
                return Ok(ExitCode::FAILURE);
            }
            return fail(invocation.stdout, &refused.to_string());
        }
    };
    if args.dryrun {
        return show(&container, invocation.stdout);
    }
    as_root(host, invocation, |host, invocation| start(&container, host, invocation))
}

/// Checks everything in upstream's order and says what to start.
fn plan(
    args: &NodeRunArgs,
    datastore: &dyn Fn(&ConfigPath) -> NodeDatastore,
    host: &dyn Host,
) -> Result<Container, Refused> {
    check_ip("--ip", args.ip.as_deref(), IpVersion::V4)?;
    check_ip("--ip6", args.ip6.as_deref(), IpVersion::V6)?;
    let as_number = args
        .as_number
        .as_deref()
        .map(|text| text.parse::<AsNumber>().map_err(|_| Refused::AsNumber(text.to_owned())))
        .transpose()?;
    if !["bird", "gobgp", "none"].contains(&args.backend.as_str()) {
        return Err(Refused::Backend(args.backend.clone()));
    }
    for (method, version) in
        [(&args.ip_autodetection_method, IpVersion::V4), (&args.ip6_autodetection_method, IpVersion::V6)]
    {
        autodetect::check(method, version, host).map_err(Refused::Method)?;
    }
    let name = args.name.clone().or_else(|| host.hostname()).ok_or(Refused::NodeName)?;
    let etcd = match datastore(&args.config) {
        NodeDatastore::EtcdV2(etcd) => etcd,
        NodeDatastore::Unsupported => return Err(Refused::Datastore),
        NodeDatastore::Invalid(reason) => return Err(Refused::Config(reason)),
        NodeDatastore::NoFile(line) => return Err(Refused::NoFile(line)),
    };
    let prefix = &args.docker_networking_ifprefix;
    if prefix.is_empty() || !prefix.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return Err(Refused::Prefix(prefix.clone()));
    }
    if args.disable_docker_networking && args.use_docker_networking_container_labels {
        return Err(Refused::Labels);
    }
    Ok(Container {
        init_system: args.init_system,
        env: environment(args, name, as_number, &etcd),
        volumes: volumes(args, &etcd),
        image: args.node_image.clone(),
    })
}

fn check_ip(option: &'static str, text: Option<&str>, version: IpVersion) -> Result<(), Refused> {
    let Some(text) = text.filter(|text| *text != "autodetect") else { return Ok(()) };
    let ip: Ip = text.parse().map_err(|_| Refused::Ip(text.to_owned()))?;
    if ip.version() == version { Ok(()) } else { Err(Refused::IpVersion(option)) }
}

fn environment(
    args: &NodeRunArgs,
    name: String,
    as_number: Option<AsNumber>,
    etcd: &EtcdSettings,
) -> BTreeMap<&'static str, String> {
    let docker = !args.disable_docker_networking;
    let mut env = BTreeMap::from([
        ("NODENAME", name),
        ("CALICO_NETWORKING_BACKEND", args.backend.clone()),
        ("CALICO_LIBNETWORK_ENABLED", docker.to_string()),
    ]);
    let endpoints = match etcd.endpoints.as_str() {
        "" => format!("{}://{}", etcd.scheme, etcd.authority),
        endpoints => endpoints.to_owned(),
    };
    env.insert("ETCD_ENDPOINTS", endpoints);
    env.extend(args.ip.clone().map(|ip| ("IP", ip)));
    env.extend(args.ip6.clone().map(|ip| ("IP6", ip)));
    env.extend(as_number.map(|number| ("AS", number.to_string())));
    for (name, method) in [
        ("IP_AUTODETECTION_METHOD", &args.ip_autodetection_method),
        ("IP6_AUTODETECTION_METHOD", &args.ip6_autodetection_method),
    ] {
        if method != FIRST_FOUND {
            env.insert(name, method.clone());
        }
    }
    if args.no_default_ippools {
        env.insert("NO_DEFAULT_POOLS", "true".to_owned());
    }
    if docker && args.docker_networking_ifprefix != "cali" {
        env.insert("CALICO_LIBNETWORK_IFPREFIX", args.docker_networking_ifprefix.clone());
    }
    if args.use_docker_networking_container_labels {
        env.insert("CALICO_LIBNETWORK_CREATE_PROFILES", "false".to_owned());
        env.insert("CALICO_LIBNETWORK_LABEL_ENDPOINTS", "true".to_owned());
    }
    env.extend(certificates(etcd).map(|(name, inside, _)| (name, inside.to_owned())));
    env
}

/// Variable, path inside and path outside of each certificate file.
fn certificates(etcd: &EtcdSettings) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
    let pair = !etcd.key_file.is_empty() && !etcd.cert_file.is_empty();
    [
        ("ETCD_CA_CERT_FILE", "/etc/calico/certs/ca_cert.crt", etcd.ca_cert_file.as_str(), true),
        ("ETCD_KEY_FILE", "/etc/calico/certs/key.pem", etcd.key_file.as_str(), pair),
        ("ETCD_CERT_FILE", "/etc/calico/certs/cert.crt", etcd.cert_file.as_str(), pair),
    ]
    .into_iter()
    .filter(|(_, _, outside, wanted)| *wanted && !outside.is_empty())
    .map(|(name, inside, outside, _)| (name, inside, outside))
}

fn volumes(args: &NodeRunArgs, etcd: &EtcdSettings) -> Vec<(String, String)> {
    let mut volumes = vec![(args.log_dir.clone(), "/var/log/calico".to_owned())];
    let mut same = vec!["/var/run/calico", "/lib/modules", "/run"];
    if !args.disable_docker_networking {
        same.extend(["/run/docker/plugins", "/var/run/docker.sock"]);
    }
    volumes.extend(same.into_iter().map(|path| (path.to_owned(), path.to_owned())));
    volumes.extend(certificates(etcd).map(|(_, inside, outside)| (outside.to_owned(), inside.to_owned())));
    volumes
}

fn show(container: &Container, stdout: &mut dyn Write) -> io::Result<ExitCode> {
    writeln!(stdout, "Use the following command to start the calico/node container:")?;
    writeln!(stdout, "\n{}\n", container.command().join(" "))?;
    if container.init_system {
        writeln!(stdout, "Use the following command to stop the calico/node container:")?;
        writeln!(stdout, "\ndocker stop calico-node\n")?;
    } else {
        writeln!(stdout, "If you are running calico/node in an init system, use the --init-system flag")?;
        writeln!(stdout, "to display the appropriate start and stop commands.")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn start(container: &Container, host: &dyn Host, invocation: &mut Invocation<'_>) -> io::Result<ExitCode> {
    let inside = invocation.env.get("CALICO_CTL_CONTAINER").is_some_and(|value| !value.is_empty());
    if !inside && let Some(failed) = prepare(host, invocation.stdout)? {
        return Ok(failed);
    }
    let stdout = &mut *invocation.stdout;
    writeln!(stdout, "Removing old calico-node container (if running).")?;
    // There may be none, and a docker that cannot be run shows in the next step.
    drop(host::collect(host, &["docker", "rm", "-f", "calico-node"], SHORT));
    let command = container.command();
    writeln!(stdout, "Running the following command to start calico-node:")?;
    writeln!(stdout, "\n{}\n", command.join(" "))?;
    writeln!(stdout, "Image may take a short time to download if it is not available locally.")?;
    stdout.flush()?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let (problem, output) = match host::collect(host, &command, DOWNLOAD) {
        Ok((Ended::Success, _)) => return follow(host, stdout),
        Ok((Ended::Failed(status), output)) => (status, output),
        Ok((Ended::TimedOut | Ended::Stopped, output)) => ("docker run takes too long".to_owned(), output),
        Err(error) => (host::start_error("docker", &error), Vec::new()),
    };
    fail(stdout, &problem)?;
    stdout.write_all(&output)?;
    if output.last().is_some_and(|last| *last != b'\n') {
        writeln!(stdout)?;
    }
    Ok(ExitCode::FAILURE)
}

/// Makes the kernel ready, since a container may not be able to; `Some` if that failed.
fn prepare(host: &dyn Host, stdout: &mut dyn Write) -> io::Result<Option<ExitCode>> {
    let load = ["modprobe", "-a", "xt_set", "ip6_tables"];
    writeln!(stdout, "Running command to load modules: {}", load.join(" "))?;
    // Modules may be built in, so a failure says nothing.
    drop(host::collect(host, &load, SHORT));
    writeln!(stdout, "Enabling IPv4 forwarding")?;
    if host.write(Path::new("/proc/sys/net/ipv4/ip_forward"), b"1").is_err() {
        writeln!(stdout, "ERROR: Could not enable ipv4 forwarding")?;
        return Ok(Some(ExitCode::FAILURE));
    }
    if host.exists(Path::new("/proc/sys/net/ipv6")) {
        writeln!(stdout, "Enabling IPv6 forwarding")?;
        if host.write(Path::new("/proc/sys/net/ipv6/conf/all/forwarding"), b"1").is_err() {
            writeln!(stdout, "ERROR: Could not enable ipv6 forwarding")?;
            return Ok(Some(ExitCode::FAILURE));
        }
    }
    writeln!(stdout, "Increasing conntrack limit")?;
    if host.write(Path::new("/proc/sys/net/netfilter/nf_conntrack_max"), b"1000000").is_err() {
        // COMPAT(spelling): upstream's line, letter by letter.
        writeln!(stdout, "WARNING: Could not set nf_contrack_max. This may have an impact at scale.")?;
    }
    Ok(None)
}

/// Prints the log of the container until it says that it started.
fn follow(host: &dyn Host, stdout: &mut dyn Write) -> io::Result<ExitCode> {
    writeln!(stdout, "Container started, checking progress logs.\n")?;
    let mut pending = Vec::new();
    let mut started = false;
    let mut written = Ok(());
    let ended = host.stream(&["docker", "logs", "--follow", "calico-node"], START, &mut |bytes| {
        pending.extend_from_slice(bytes);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            written = stdout.write_all(&line).and_then(|()| stdout.flush());
            started = line.trim_ascii_end() == STARTED.as_bytes();
            if started || written.is_err() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    written?;
    match ended {
        _ if started => Ok(ExitCode::SUCCESS),
        Ok(_) => fail(stdout, "calico/node has terminated, check logs for details"),
        Err(_) => fail(stdout, "error reading calico/node logs, check logs for details"),
    }
}

#[cfg(test)]
mod tests;
