//! The test servers themselves, tested.

use super::*;

const USER: AuthUser<'_> =
    AuthUser { name: "reader", password: "secret", read: &["/calico/v1*"], write: &["/calico/v1/a"] };

fn pairs(found: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[test]
fn one_member_stores_lists_and_forgets() {
    if !Etcd::available() {
        return;
    }
    let etcd = Etcd::start();
    etcd.put("/calico/v1/a%2fb", "50 % & {\"x\": 1}\n+");
    etcd.put("/other", "1");
    assert_eq!(etcd.get("/calico/v1/a%2fb").as_deref(), Some("50 % & {\"x\": 1}\n+"));
    assert_eq!(etcd.get("/calico/v1/a"), None);
    assert_eq!(pairs(&etcd.dump("/calico")), [("/calico/v1/a%2fb", "50 % & {\"x\": 1}\n+")]);
    etcd.delete("/calico/v1/a%2fb");
    assert_eq!(pairs(&etcd.dump("/")), [("/calico/v1/", ""), ("/other", "1")]);
    etcd.wipe();
    assert_eq!(pairs(&etcd.dump("/")), []);
}

#[test]
fn a_restarted_member_keeps_its_data_unless_told_otherwise() {
    if !Etcd::available() {
        return;
    }
    let mut etcd = Etcd::start();
    let url = etcd.client_url();
    etcd.put("/a", "1");
    etcd.kill(0);
    assert!(TcpStream::connect(("127.0.0.1", etcd.port())).is_err());
    etcd.restart(0);
    assert_eq!(etcd.get("/a").as_deref(), Some("1"));
    etcd.restart_empty();
    assert_eq!((etcd.get("/a"), etcd.client_url()), (None, url));
}

#[test]
fn a_cluster_serves_with_one_member_gone() {
    if !Etcd::available() {
        return;
    }
    let mut etcd = Etcd::start_cluster(3);
    etcd.put("/a", "1");
    etcd.kill(0);
    assert_eq!(etcd.get("/a").as_deref(), Some("1"));
    assert_eq!(etcd.client_urls().len(), 3);
}

#[test]
fn authentication_refuses_those_without_a_name() {
    if !Etcd::available() {
        return;
    }
    let mut etcd = Etcd::start();
    etcd.put("/calico/v1/a", "1");
    etcd.enable_auth("root secret", USER);
    assert_eq!(etcd.get("/calico/v1/a").as_deref(), Some("1"));
    let answer = exchange(etcd.port(), "GET", "/v2/keys/calico/v1/a", "", "").unwrap();
    assert_eq!(answer.status, 401, "{answer:?}");
}

#[test]
fn tls_wants_a_client_certificate() {
    if !Etcd::tls_available() {
        return;
    }
    let etcd = Etcd::start_tls();
    etcd.put("/a", "1");
    let fetch = |extra: &[&str]| {
        let output = Command::new("openssl")
            .args(["s_client", "-quiet", "-ign_eof", "-verify_return_error", "-connect"])
            .arg(format!("127.0.0.1:{}", etcd.port()))
            .arg("-CAfile")
            .arg(&etcd.tls().ca)
            .args(extra)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                let _ = child.stdin.take().expect("piped").write_all(b"GET /v2/keys/a HTTP/1.0\r\n\r\n");
                child.wait_with_output()
            });
        String::from_utf8_lossy(&output.expect("running openssl").stdout).into_owned()
    };
    let (cert, key) = (etcd.tls().cert.display().to_string(), etcd.tls().key.display().to_string());
    assert!(fetch(&["-cert", &cert, "-key", &key]).contains("\"value\":\"1\""));
    assert!(!fetch(&[]).contains("\"value\""));
}

#[test]
fn a_paused_member_answers_after_it_is_resumed() {
    if !Etcd::available() {
        return;
    }
    let etcd = Etcd::start();
    etcd.put("/a", "1");
    etcd.pause(0);
    let mut stream = TcpStream::connect(("127.0.0.1", etcd.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    stream.write_all(b"GET /v2/keys/a HTTP/1.0\r\n\r\n").unwrap();
    assert!(stream.read(&mut [0; 16]).is_err());
    etcd.resume(0);
    assert_eq!(etcd.get("/a").as_deref(), Some("1"));
}
