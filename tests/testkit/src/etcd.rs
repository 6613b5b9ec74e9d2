//! A real etcd with the v2 API for tests: one member, three, with TLS, with authentication.
//!
//! Owns the processes and their directories; both go when the value is dropped, and the processes also when the test
//! dies without dropping it. Keys are read and written here over a plain socket, so that a test of the etcd store
//! never checks that store with itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, create_dir_all, read_to_string, remove_dir_all};
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

/// How long a member may take until it answers.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// Runs etcd until etcd ends or its own input closes, which happens when the test process is gone, however it went.
const SUPERVISOR: &str = r#"( "$@"; kill -9 0 ) & read -r _; kill -9 0"#;

/// A running etcd of one or more members.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<Member>,
    tls: Option<Tls>,
    root_password: Option<String>,
    directory: TempDir,
}

/// The files of [`Etcd::start_tls`], all PEM.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The authority that signed the server and the client.
    pub ca: PathBuf,
    /// A client's certificate.
    pub cert: PathBuf,
    /// A client's key.
    pub key: PathBuf,
    /// An authority that signed neither.
    pub other_ca: PathBuf,
}

/// A user for [`Etcd::enable_auth`]. Paths may end in `*`.
#[derive(Debug, Clone, Copy)]
pub struct AuthUser<'a> {
    /// The name.
    pub name: &'a str,
    /// The password.
    pub password: &'a str,
    /// What the user may read.
    pub read: &'a [&'a str],
    /// What the user may write.
    pub write: &'a [&'a str],
}

#[derive(Debug)]
struct Member {
    name: String,
    directory: PathBuf,
    scheme: &'static str,
    /// The port of the URL that the code under test uses.
    client: u16,
    /// A port without TLS for the test itself; the client port when that has none either.
    plain: u16,
    peer: u16,
    health: u16,
    supervisor: Option<Child>,
}

/// What a member answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    body: String,
}

// === impl Etcd ===

impl Etcd {
    /// True when etcd is installed. Otherwise says that the test is skipped, or fails it under `CI`.
    ///
    /// # Panics
    /// When etcd is missing and the variable `CI` is set.
    #[must_use]
    pub fn available() -> bool {
        installed("etcd", "--version")
    }

    /// True when etcd and openssl are installed, which [`Etcd::start_tls`] needs. Else as [`Etcd::available`].
    ///
    /// # Panics
    /// When one is missing and the variable `CI` is set.
    #[must_use]
    pub fn tls_available() -> bool {
        Self::available() && installed("openssl", "version")
    }

    /// Starts one member and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn start() -> Self {
        Self::start_members(1, false)
    }

    /// Starts `size` members and waits until they have a leader.
    ///
    /// # Panics
    /// When they do not.
    #[must_use]
    pub fn start_cluster(size: usize) -> Self {
        Self::start_members(size, false)
    }

    /// Starts one member that speaks TLS and wants a client certificate; see [`Etcd::tls`].
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_tls() -> Self {
        Self::start_members(1, true)
    }

    fn start_members(size: usize, with_tls: bool) -> Self {
        let mut last = String::new();
        for _ in 0..5 {
            let directory = TempDir::with_prefix("margay-etcd-").expect("making a directory for etcd");
            let tls = with_tls.then(|| make_certificates(directory.path()));
            let members = (0..size).map(|i| Member::plan(directory.path(), i, with_tls)).collect();
            let mut etcd = Self { members, tls, root_password: None, directory };
            match (0..size).try_for_each(|i| etcd.spawn(i)).and_then(|()| etcd.wait_healthy()) {
                Ok(()) => return etcd,
                // Another process took a port between our look and etcd's: plan again.
                Err(reason) => last = reason,
            }
        }
        panic!("etcd does not start: {last}");
    }

    /// The URL of the first member.
    #[must_use]
    pub fn client_url(&self) -> String {
        self.members[0].client_url()
    }

    /// The URLs of all members.
    #[must_use]
    pub fn client_urls(&self) -> Vec<String> {
        self.members.iter().map(Member::client_url).collect()
    }

    /// The client port of the first member.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.members[0].client
    }

    /// The certificates of [`Etcd::start_tls`].
    ///
    /// # Panics
    /// When this etcd has no TLS.
    #[must_use]
    pub fn tls(&self) -> &Tls {
        self.tls.as_ref().expect("this etcd was started without TLS")
    }

    /// Kills member `index` as a power cut would.
    pub fn kill(&mut self, index: usize) {
        self.members[index].kill();
    }

    /// Stops member `index` in its tracks: its sockets stay open and nothing answers.
    pub fn pause(&self, index: usize) {
        self.members[index].signal(Signal::STOP);
    }

    /// Lets member `index` go on after [`Etcd::pause`].
    pub fn resume(&self, index: usize) {
        self.members[index].signal(Signal::CONT);
    }

    /// Starts member `index` again after [`Etcd::kill`], with its data and ports.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self, index: usize) {
        self.members[index].kill();
        self.spawn(index).and_then(|()| self.wait_healthy()).expect("restarting etcd");
    }

    /// Starts the only member again with nothing in it, as after a disk was replaced: same ports, same cluster id.
    ///
    /// # Panics
    /// When it does not start, or has siblings.
    pub fn restart_empty(&mut self) {
        assert_eq!(self.members.len(), 1, "only a lone member can start empty");
        self.members[0].kill();
        remove_dir_all(&self.members[0].directory).expect("removing etcd's data");
        self.root_password = None;
        self.restart(0);
    }

    /// Writes a value.
    ///
    /// # Panics
    /// When etcd refuses.
    pub fn put(&self, key: &str, value: &str) {
        let answer = self.keys("PUT", key, "", &format!("value={}", percent(value, "")));
        assert!(answer.status < 300, "PUT {key}: {answer:?}");
    }

    /// Reads a value; none when the key is absent.
    ///
    /// # Panics
    /// When etcd answers anything else.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        let answer = self.keys("GET", key, "?quorum=true", "");
        if answer.status == 404 {
            return None;
        }
        assert_eq!(answer.status, 200, "GET {key}: {answer:?}");
        Some(answer.json()["node"]["value"].as_str().expect("a value").to_owned())
    }

    /// Every value at or below `prefix`; `/` is everything. An empty directory is its key with a slash behind it.
    ///
    /// # Panics
    /// When etcd does not answer.
    #[must_use]
    pub fn dump(&self, prefix: &str) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let answer = self.keys("GET", prefix, "?recursive=true&quorum=true", "");
        if answer.status != 404 {
            assert_eq!(answer.status, 200, "GET {prefix}: {answer:?}");
            collect(&answer.json()["node"], &mut found);
        }
        found
    }

    /// Removes a value, or a directory with everything below it; one that is absent is fine.
    ///
    /// # Panics
    /// When etcd refuses.
    pub fn delete(&self, key: &str) {
        let answer = self.keys("DELETE", key, "?recursive=true", "");
        assert!(answer.status == 200 || answer.status == 404, "DELETE {key}: {answer:?}");
    }

    /// Removes everything.
    ///
    /// # Panics
    /// When etcd refuses.
    pub fn wipe(&self) {
        let answer = self.keys("GET", "/", "?quorum=true", "");
        assert_eq!(answer.status, 200, "GET /: {answer:?}");
        for node in answer.json()["node"]["nodes"].as_array().into_iter().flatten() {
            self.delete(node["key"].as_str().expect("a key"));
        }
    }

    /// Switches authentication on: a root user, one other user, and nothing for those without a name.
    ///
    /// # Panics
    /// When etcd refuses.
    pub fn enable_auth(&mut self, root_password: &str, user: AuthUser<'_>) {
        let role = serde_json::json!({
            "role": user.name, "permissions": { "kv": { "read": user.read, "write": user.write } }
        });
        let users = [
            serde_json::json!({ "user": "root", "password": root_password }),
            serde_json::json!({ "user": user.name, "password": user.password, "roles": [user.name] }),
        ];
        self.auth(&format!("roles/{}", user.name), &role);
        for user in users {
            self.auth(&format!("users/{}", user["user"].as_str().expect("a name")), &user);
        }
        let answer = self.request("PUT", "/v2/auth/enable", "application/json", "");
        assert_eq!(answer.status, 200, "enabling authentication: {answer:?}");
        self.root_password = Some(root_password.to_owned());
        let everything = serde_json::json!({ "read": ["/*"], "write": ["/*"] });
        self.auth("roles/guest", &serde_json::json!({ "role": "guest", "revoke": { "kv": everything } }));
    }

    fn auth(&self, what: &str, body: &Value) {
        let answer = self.request("PUT", &format!("/v2/auth/{what}"), "application/json", &body.to_string());
        assert!(answer.status < 300, "PUT {what}: {answer:?}");
    }

    fn keys(&self, method: &str, key: &str, query: &str, body: &str) -> Answer {
        let path = format!("/v2/keys{}{query}", percent(key, "/"));
        self.request(method, &path, "application/x-www-form-urlencoded", body)
    }

    fn request(&self, method: &str, path: &str, content: &str, body: &str) -> Answer {
        let alive = self.members.iter().find(|m| m.supervisor.is_some()).expect("a member is alive");
        let credentials = self.root_password.as_ref().map_or(String::new(), |password| {
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("root:{password}"));
            format!("Authorization: Basic {pair}\r\n")
        });
        let headers = format!("Content-Type: {content}\r\n{credentials}");
        // While a cluster elects a leader its members answer 500: every request of this fixture may be repeated.
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            let answer = exchange(alive.plain, method, path, &headers, body)
                .unwrap_or_else(|error| panic!("{method} {path} at {}: {error}", alive.client_url()));
            if answer.status < 500 || Instant::now() > deadline {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn spawn(&mut self, index: usize) -> Result<(), String> {
        let peers: Vec<_> = self.members.iter().map(|m| format!("{}={}", m.name, m.peer_url())).collect();
        let arguments = self.members[index].arguments(&peers.join(","), self.directory.path());
        self.members[index].spawn(&arguments)
    }

    /// Waits until every living member says that it sees a leader.
    fn wait_healthy(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_DEADLINE;
        for member in self.members.iter_mut().filter(|m| m.supervisor.is_some()) {
            while !member.is_healthy() {
                if member.has_ended() || Instant::now() > deadline {
                    member.kill();
                    return Err(format!("{} is not healthy: {}", member.name, member.log()));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.kill();
        }
    }
}

// === impl Member ===

impl Member {
    fn plan(directory: &Path, index: usize, with_tls: bool) -> Self {
        let [client, peer, health, plain] = free_ports();
        Self {
            name: format!("member{index}"),
            directory: directory.join(format!("member{index}")),
            scheme: if with_tls { "https" } else { "http" },
            client,
            plain: if with_tls { plain } else { client },
            peer,
            health,
            supervisor: None,
        }
    }

    fn client_url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.client)
    }

    fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer)
    }

    fn arguments(&self, peers: &str, shared: &Path) -> Vec<String> {
        let mut listen = self.client_url();
        let mut arguments = vec![
            "--enable-v2=true".to_owned(),
            "--log-level=error".to_owned(),
            "--heartbeat-interval=50".to_owned(),
            "--election-timeout=500".to_owned(),
            format!("--name={}", self.name),
            format!("--data-dir={}", self.directory.display()),
            format!("--listen-peer-urls={}", self.peer_url()),
            format!("--initial-advertise-peer-urls={}", self.peer_url()),
            format!("--initial-cluster={peers}"),
            format!("--advertise-client-urls={}", self.client_url()),
            format!("--listen-metrics-urls=http://127.0.0.1:{}", self.health),
        ];
        if self.plain != self.client {
            let _ = write!(listen, ",http://127.0.0.1:{}", self.plain);
            let file = |name: &str| shared.join(name).display().to_string();
            arguments.extend([
                format!("--trusted-ca-file={}", file("ca.pem")),
                format!("--cert-file={}", file("server.pem")),
                format!("--key-file={}", file("server.key")),
                "--client-cert-auth".to_owned(),
            ]);
        }
        arguments.push(format!("--listen-client-urls={listen}"));
        arguments
    }

    fn spawn(&mut self, arguments: &[String]) -> Result<(), String> {
        let start = || {
            create_dir_all(&self.directory)?;
            let log = File::create(self.log_path())?;
            Command::new("sh")
                .args(["-c", SUPERVISOR, "sh", "etcd"])
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(log.try_clone()?)
                .stderr(log)
                .process_group(0)
                .spawn()
        };
        self.supervisor = Some(start().map_err(|error| format!("starting {}: {error}", self.name))?);
        Ok(())
    }

    fn is_healthy(&self) -> bool {
        exchange(self.health, "GET", "/health", "", "")
            .is_ok_and(|answer| answer.status == 200 && answer.body.contains("true"))
    }

    fn has_ended(&mut self) -> bool {
        self.supervisor.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    fn log_path(&self) -> PathBuf {
        self.directory.with_extension("log")
    }

    fn log(&self) -> String {
        read_to_string(self.log_path()).unwrap_or_else(|error| format!("no log: {error}"))
    }

    fn signal(&self, signal: Signal) {
        let child = self.supervisor.as_ref().expect("the member runs");
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id is positive");
        kill_process_group(group, signal).expect("signalling our own child");
    }

    fn kill(&mut self) {
        if self.supervisor.is_none() {
            return;
        }
        if !self.has_ended() {
            self.signal(Signal::KILL);
        }
        if let Some(mut child) = self.supervisor.take() {
            let _ = child.wait();
        }
        self.wait_ports_closed();
    }

    /// Waits until the grandchild is gone too: its ports refuse.
    fn wait_ports_closed(&self) {
        let deadline = Instant::now() + START_DEADLINE;
        while TcpStream::connect(("127.0.0.1", self.client)).is_ok() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

// === impl Answer ===

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

// === helpers ===

#[expect(clippy::print_stderr, reason = "a skipped test has to be seen; this crate serves tests alone")]
fn installed(program: &str, argument: &str) -> bool {
    let found = Command::new(program)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let under_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(found || !under_ci, "{program} is not installed, and CI is set");
    if !found {
        eprintln!("SKIPPED: {program} is not installed, so this test has shown nothing");
    }
    found
}

/// Ports that nobody listens on. They are held together, so they differ.
fn free_ports() -> [u16; 4] {
    let held: [TcpListener; 4] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("a bound socket has an address").port())
}

/// One request in HTTP/1.0, whose answer ends with the connection and is never chunked.
fn exchange(port: u16, method: &str, path: &str, headers: &str, body: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let length = body.len();
    stream.write_all(
        format!("{method} {path} HTTP/1.0\r\n{headers}Content-Length: {length}\r\n\r\n{body}").as_bytes(),
    )?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::InvalidData)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answer { status: status.ok_or(std::io::ErrorKind::InvalidData)?, body: body.to_owned() })
}

/// Percent-encodes everything but letters, digits, `-_.~` and the bytes of `keep`.
fn percent(text: &str, keep: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-_.~".contains(c) || keep.contains(c) {
            out.push(c);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn collect(node: &Value, found: &mut BTreeMap<String, String>) {
    let key = node["key"].as_str().unwrap_or("").to_owned();
    if node["dir"] != true {
        found.insert(key, node["value"].as_str().unwrap_or("").to_owned());
        return;
    }
    let children = node["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    if children.is_empty() && !key.is_empty() {
        found.insert(format!("{key}/"), String::new());
    }
    for child in children {
        collect(child, found);
    }
}

/// An authority, a server and a client signed by it, and an authority that signed nothing.
fn make_certificates(directory: &Path) -> Tls {
    let file = |name: &str| directory.join(name).display().to_string();
    let authority = |name: &str| {
        let (key, cert) = (file(&format!("{name}.key")), file(&format!("{name}.pem")));
        let subject = format!("/CN=margay {name}");
        openssl(&["req", "-x509", "-nodes", "-days", "2", "-subj", &subject, "-keyout", &key, "-out", &cert]);
    };
    let signed = |name: &str, extensions: &str| {
        let (key, cert, request) =
            (file(&format!("{name}.key")), file(&format!("{name}.pem")), file(&format!("{name}.csr")));
        let (ca, ca_key, extension_file) = (file("ca.pem"), file("ca.key"), file(&format!("{name}.ext")));
        std::fs::write(&extension_file, extensions).expect("writing certificate extensions");
        openssl(&["req", "-nodes", "-subj", &format!("/CN={name}"), "-keyout", &key, "-out", &request]);
        openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-extfile",
            &extension_file,
            "-out",
            &cert,
        ]);
    };
    authority("ca");
    authority("other_ca");
    signed("server", "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n");
    signed("client", "subjectAltName=DNS:client\nextendedKeyUsage=clientAuth\n");
    let path = |name: &str| directory.join(name);
    Tls {
        ca: path("ca.pem"),
        cert: path("client.pem"),
        key: path("client.key"),
        other_ca: path("other_ca.pem"),
    }
}

fn openssl(arguments: &[&str]) {
    let mut command = Command::new("openssl");
    command.args(arguments);
    if arguments[0] == "req" {
        // Elliptic keys: RSA takes seconds to make on a busy machine.
        command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    }
    let output = command.output().expect("running openssl");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(test)]
mod tests;
