//! Servers that answer late, half, rubbish, or go away: what the caller is told, and what is sent again.

use margay_store::Kv;
use margay_store::kv::{Entry, KvError, Precondition, Revision};
use margay_store_etcd::{EtcdConfig, EtcdKv, Options};

use crate::fake::{Act, Fake, answer, chunked, node, refusal, two};
use crate::{config, impatient, store};

const UNAVAILABLE: &str = "client: etcd cluster is unavailable or misconfigured";

fn written(index: u64) -> Act {
    Act::Say(answer("200 OK", index, &node("set", "/a", "x", index)))
}

fn revision(index: u64) -> Revision {
    Revision::new(index).unwrap()
}

/// Two members in the given order, whatever the shuffle makes of others.
fn in_order(first: &str, second: &str, options: Options) -> EtcdKv {
    let urls = [first.to_owned(), second.to_owned()];
    for seed in 0..100 {
        let kv = EtcdKv::with_options(&config(&urls), Options { seed, ..options }).unwrap();
        let printed = format!("{kv:?}");
        if printed.find(first) < printed.find(second) {
            return kv;
        }
    }
    panic!("no seed leaves two members as they are");
}

fn message(error: KvError) -> String {
    match error {
        KvError::Unavailable { message } => message,
        error => panic!("{error:?}"),
    }
}

fn server(error: KvError) -> String {
    match error {
        KvError::Server(message) => message,
        error => panic!("{error:?}"),
    }
}

async fn list(kv: &EtcdKv) -> (Vec<String>, Result<u64, KvError>) {
    let mut seen = Vec::new();
    let listing = kv.list("/d", &mut |entry| seen.push(format!("{}={}", entry.key, entry.value))).await;
    (seen, listing.map(|listing| listing.at))
}

#[tokio::test]
async fn nobody_listening_is_told_in_upstreams_words() {
    let kv = store(&["http://127.0.0.1:1".to_owned()]);
    let refused = "dial tcp 127.0.0.1:1: connect: connection refused";
    let walked = format!("{UNAVAILABLE}; error #0: {refused}\n");
    assert_eq!(message(kv.get("/a").await.unwrap_err()), walked);
    assert_eq!(message(list(&kv).await.1.unwrap_err()), walked);
    assert_eq!(message(kv.put("/a", "x", Precondition::None, None).await.unwrap_err()), walked);
    assert_eq!(message(kv.put("/a", "x", Precondition::Present, None).await.unwrap_err()), walked);
    let swap = Precondition::Revision(revision(3));
    assert_eq!(message(kv.put("/a", "x", swap, None).await.unwrap_err()), walked);
    assert_eq!(message(kv.make_directory("/a").await.unwrap_err()), walked);
    // Upstream asks once for these, and does not dress the error up.
    assert_eq!(message(kv.put("/a", "x", Precondition::Absent, None).await.unwrap_err()), refused);
    assert_eq!(message(kv.delete("/a", Precondition::None).await.unwrap_err()), refused);
    assert_eq!(message(kv.delete("/a", swap).await.unwrap_err()), refused);
}

#[tokio::test]
async fn each_member_that_fails_is_named() {
    let kv = in_order("http://127.0.0.1:1", "http://nobody.invalid:2379", Options::default());
    assert_eq!(
        message(kv.get("/a").await.unwrap_err()),
        format!(
            "{UNAVAILABLE}; error #0: dial tcp 127.0.0.1:1: connect: connection refused\n\
             ; error #1: dial tcp: lookup nobody.invalid: no such host\n"
        )
    );
}

#[tokio::test]
async fn a_late_answer_leads_to_the_next_member() {
    let late = Fake::once(vec![Act::Stall(String::new())]);
    let good = Fake::once(vec![written(7), written(8)]);
    let kv = in_order(&late.url(), &good.url(), impatient());
    assert_eq!(kv.put("/a", "x", Precondition::None, None).await.unwrap(), revision(7));
    // The good one is asked first from now on.
    assert_eq!(kv.put("/a", "x", Precondition::None, None).await.unwrap(), revision(8));
    assert_eq!((late.heard().len(), good.heard().len()), (1, 2));
}

#[tokio::test]
async fn writes_that_may_have_happened_are_not_repeated_elsewhere() {
    let swap = Precondition::Revision(revision(3));
    for when in [Precondition::Absent, swap] {
        let late = Fake::once(vec![Act::Stall(String::new())]);
        let good = Fake::once(vec![written(7), written(8)]);
        let kv = in_order(&late.url(), &good.url(), impatient());
        let text = message(kv.put("/a", "x", when, None).await.unwrap_err());
        assert!(text.contains("net/http: timeout awaiting response headers"), "{text}");
        assert_eq!(text.starts_with(UNAVAILABLE), when == swap, "{text}");
        assert_eq!(good.lines(), []);
        // But the next request goes to the other member.
        assert_eq!(kv.put("/a", "x", when, None).await.unwrap(), revision(7));
    }
    let gone = Fake::once(vec![Act::Close(String::new())]);
    let good = Fake::once(vec![]);
    let kv = in_order(&gone.url(), &good.url(), impatient());
    let text = message(kv.delete("/a", Precondition::None).await.unwrap_err());
    assert_eq!(text, format!("read tcp {}: EOF", gone.authority()));
    assert_eq!(good.lines(), []);
}

#[tokio::test]
async fn a_swap_that_was_not_sent_goes_to_the_next_member() {
    let good = Fake::once(vec![written(7)]);
    let kv = in_order("http://127.0.0.1:1", &good.url(), impatient());
    let swap = Precondition::Revision(revision(3));
    assert_eq!(kv.put("/a", "x", swap, None).await.unwrap(), revision(7));
}

#[tokio::test]
async fn operations_share_one_connection() {
    let good = Fake::once((1..=50).map(written).collect());
    let kv = store(&[good.url()]);
    for index in 1..=50 {
        assert_eq!(kv.put("/a", "x", Precondition::None, None).await.unwrap(), revision(index));
    }
    assert!(good.lines().iter().all(|(connection, _)| *connection == 0));
}

#[tokio::test]
async fn a_connection_that_was_closed_in_the_meantime_is_replaced() {
    // After its answer the first connection is closed, and the client must not take that for a failure.
    for when in [Precondition::None, Precondition::Absent, Precondition::Revision(revision(3))] {
        let good = Fake::start(vec![vec![written(7)], vec![written(8)]]);
        let kv = store(&[good.url()]);
        assert_eq!(kv.put("/a", "x", when, None).await.unwrap(), revision(7));
        good.wait_closed(1);
        assert_eq!(kv.put("/a", "x", when, None).await.unwrap(), revision(8));
    }
}

#[tokio::test]
async fn an_answer_in_chunks_of_one_byte_is_read() {
    for act in [
        Act::Say(chunked(9, &two(5), 1)),
        Act::Dribble(chunked(9, &two(5), 1)),
        Act::Dribble(answer("200 OK", 9, &two(5))),
    ] {
        let kv = store(&[Fake::once(vec![act]).url()]);
        let (seen, at) = list(&kv).await;
        assert_eq!((seen, at.unwrap()), (vec!["/d/a=1".to_owned(), "/d/b=2".to_owned()], 9));
    }
}

#[tokio::test]
async fn half_a_list_leads_to_the_next_member_while_nothing_was_seen() {
    let whole = answer("200 OK", 9, &two(5));
    let begin = whole[..whole.find("/d/a").unwrap()].to_owned();
    for act in [Act::Close(begin.clone()), Act::Stall(begin)] {
        let half = Fake::once(vec![act]);
        let good = Fake::once(vec![Act::Say(answer("200 OK", 9, &two(5)))]);
        let kv = in_order(&half.url(), &good.url(), impatient());
        let (seen, at) = list(&kv).await;
        assert_eq!((seen.len(), at.unwrap()), (2, 9));
        assert_eq!(half.heard().len(), 1);
    }
}

#[tokio::test]
async fn half_a_list_of_which_something_was_seen_is_an_error_with_its_place() {
    let whole = answer("200 OK", 9, &two(5));
    let begin = whole[..whole.find("/d/b").unwrap()].to_owned();
    let bytes = begin.split_once("\r\n\r\n").unwrap().1.len();
    let half = Fake::once(vec![Act::Close(begin)]);
    let good = Fake::once(vec![Act::Say(whole)]);
    let kv = in_order(&half.url(), &good.url(), impatient());
    let (seen, at) = list(&kv).await;
    assert_eq!(seen, ["/d/a=1"]);
    assert_eq!(
        server(at.unwrap_err()),
        format!(
            "reading {0}/v2/keys/d?quorum=true&recursive=true&sorted=true: read tcp {1}: EOF at byte {bytes}",
            half.url(),
            half.authority()
        )
    );
    assert_eq!(good.lines(), []);
}

#[tokio::test]
async fn a_body_that_ends_too_early_is_an_error_with_its_place() {
    let body = two(5);
    let cut = &body[..body.find("/d/b").unwrap()];
    let fake = Fake::once(vec![Act::Say(answer("200 OK", 9, cut))]);
    let error = server(list(&store(&[fake.url()])).await.1.unwrap_err());
    let at = cut.len();
    assert!(error.starts_with(&format!("reading {}/v2/keys/d?", fake.url())), "{error}");
    assert!(error.ends_with(&format!(": expected more: the answer ends too early at byte {at}")), "{error}");
}

#[tokio::test]
async fn rubbish_is_an_error_with_its_place_for_every_operation() {
    let rubbish = || Fake::once(vec![Act::Say(answer("200 OK", 9, "<html>hello</html>"))]);
    let fake = rubbish();
    let error = server(store(&[fake.url()]).get("/a").await.unwrap_err());
    let url = format!("{}/v2/keys/a?quorum=true&recursive=false&sorted=false", fake.url());
    assert_eq!(error, format!("reading {url}: expected an answer of etcd in JSON at byte 0"));
    let at = ": expected an answer of etcd in JSON at byte 0";
    let kv = || store(&[rubbish().url()]);
    assert!(server(kv().put("/a", "x", Precondition::None, None).await.unwrap_err()).ends_with(at));
    assert!(server(kv().put("/a", "x", Precondition::Absent, None).await.unwrap_err()).ends_with(at));
    assert!(server(kv().delete("/a", Precondition::None).await.unwrap_err()).ends_with(at));
    assert!(server(kv().children("/a").await.unwrap_err()).ends_with(at));
    assert!(server(list(&kv()).await.1.unwrap_err()).ends_with(at));
}

#[tokio::test]
async fn what_is_not_http_is_an_error() {
    let fake = Fake::once(vec![Act::Close("SSH-2.0-OpenSSH_9.2\r\n".to_owned())]);
    let text = message(store(&[fake.url()]).get("/a").await.unwrap_err());
    assert!(text.contains("malformed HTTP response"), "{text}");
}

#[tokio::test]
async fn a_server_without_the_v2_api_is_told_apart_from_an_absent_key() {
    let page = || Fake::once(vec![Act::Say(answer("404 Not Found", 0, "404 page not found\n"))]);
    let fake = page();
    assert_eq!(
        server(store(&[fake.url()]).get("/a").await.unwrap_err()),
        format!(
            "{}/v2/keys/a?quorum=true&recursive=false&sorted=false: answered 404 Not Found where an error of etcd was \
             expected: '404 page not found' (is the v2 API of etcd switched on: --enable-v2=true?)",
            fake.url()
        )
    );
    let error = list(&store(&[page().url()])).await.1.unwrap_err();
    assert!(server(error).contains("--enable-v2=true"));
}

#[tokio::test]
async fn an_absent_prefix_is_an_empty_list_with_its_index() {
    let fake =
        Fake::once(vec![Act::Say(answer("404 Not Found", 77, &refusal(100, "Key not found", "/d", 77)))]);
    let (seen, at) = list(&store(&[fake.url()])).await;
    assert_eq!((seen, at.unwrap()), (vec![], 77));
}

#[tokio::test]
async fn refusals_of_etcd_become_errors_to_act_on() {
    let cases: [(&str, u64, &str); 8] = [
        ("404 Not Found", 100, "NotFound { key: \"/a\" }"),
        ("412 Precondition Failed", 101, "Conflict { key: \"/a\" }"),
        ("412 Precondition Failed", 105, "Exists { key: \"/a\" }"),
        ("401 Unauthorized", 110, "Unauthorized"),
        ("403 Forbidden", 102, "Shape(\"102: m (/c) [9]\")"),
        ("400 Bad Request", 104, "Shape(\"104: m (/c) [9]\")"),
        ("403 Forbidden", 108, "Shape(\"108: m (/c) [9]\")"),
        ("400 Bad Request", 209, "Server(\"209: m (/c) [9]\")"),
    ];
    for (status, code, expected) in cases {
        let fake = Fake::once(vec![Act::Say(answer(status, 9, &refusal(code, "m", "/c", 9)))]);
        let error = store(&[fake.url()]).put("/a", "x", Precondition::Present, None).await.unwrap_err();
        assert_eq!(format!("{error:?}"), expected);
    }
    let fake = Fake::once(vec![Act::Say(answer(
        "401 Unauthorized",
        9,
        "{\"message\":\"Insufficient credentials\"}",
    ))]);
    let error = store(&[fake.url()]).get("/a").await.unwrap_err();
    assert_eq!(error.to_string(), "connection is unauthorized");
}

#[tokio::test]
async fn a_member_without_leader_is_passed_over() {
    for (status, text) in [
        ("503 Service Unavailable", "has no leader"),
        ("500 Internal Server Error", "has no leader"),
        ("502 Bad Gateway", "returns server error [Bad Gateway]"),
    ] {
        let lost = || Fake::once(vec![Act::Say(answer(status, 9, ""))]);
        let fake = lost();
        let kv = in_order(&fake.url(), "http://127.0.0.1:1", impatient());
        assert_eq!(
            message(kv.get("/a").await.unwrap_err()),
            format!(
                "{UNAVAILABLE}; error #0: client: etcd member {} {text}\n\
                 ; error #1: dial tcp 127.0.0.1:1: connect: connection refused\n",
                fake.url()
            )
        );
        let good = Fake::once(vec![written(7)]);
        let kv = in_order(&lost().url(), &good.url(), impatient());
        assert_eq!(kv.put("/a", "x", Precondition::None, None).await.unwrap(), revision(7));
        // It may have begun to write: only what can be repeated is.
        let good = Fake::once(vec![written(7)]);
        let kv = in_order(&lost().url(), &good.url(), impatient());
        kv.put("/a", "x", Precondition::Absent, None).await.unwrap_err();
        assert_eq!(good.lines(), []);
    }
}

#[tokio::test]
async fn redirections_to_the_leader_are_followed() {
    let leader = Fake::once(vec![written(7)]);
    let to = |target: String| {
        Act::Close(format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    let target = "/v2/keys/a?prevExist=false";
    let member = Fake::once(vec![to(format!("{}{target}", leader.url()))]);
    let kv = store(&[member.url()]);
    assert_eq!(kv.put("/a", "x y", Precondition::Absent, None).await.unwrap(), revision(7));
    let heard = leader.heard();
    assert_eq!(
        (heard[0].line.as_str(), heard[0].body.as_str()),
        ("PUT /v2/keys/a?prevExist=false", "value=x%20y")
    );

    let endless = Fake::start((0..20).map(|_| vec![to(target.to_owned())]).collect());
    let error = store(&[endless.url()]).get("/a").await.unwrap_err();
    assert_eq!(server(error), "client: too many redirects");
    assert_eq!(endless.heard().len(), 11);
    let nowhere = Fake::once(vec![to("ftp://x/".to_owned())]);
    let error = server(store(&[nowhere.url()]).get("/a").await.unwrap_err());
    assert!(error.ends_with("redirected to something that is no URL of etcd"), "{error}");
}

#[tokio::test]
async fn requests_are_those_of_the_table() {
    let found = answer("200 OK", 9, &node("get", "/p/a%2fb", "x", 3));
    let directory = answer(
        "200 OK",
        9,
        "{\"action\":\"get\",\"node\":{\"key\":\"/d\",\"dir\":true,\"modifiedIndex\":2}}",
    );
    let fake = Fake::once(vec![
        Act::Say(found.clone()),
        Act::Say(found),
        Act::Say(directory.clone()),
        Act::Say(directory),
        written(10),
    ]);
    let kv = EtcdKv::new(&EtcdConfig {
        username: "u".to_owned(),
        password: "p".into(),
        ..config(&[format!("{}/base/", fake.url())])
    })
    .unwrap();
    let expected = Entry { key: "/p/a%2fb".to_owned(), value: "x".to_owned(), revision: revision(3) };
    assert_eq!(kv.get("/p/a%2fb").await.unwrap(), Some(expected));
    kv.put("/p/a%2fb", "{\"a\": 1}", Precondition::None, Some(std::time::Duration::from_millis(90_999)))
        .await
        .unwrap();
    assert!(kv.children("/d").await.unwrap().is_empty());
    assert!(kv.remove_empty_directory("/d").await.unwrap());
    let heard = fake.heard();
    let lines: Vec<(&str, &str)> =
        heard.iter().map(|heard| (heard.line.as_str(), heard.body.as_str())).collect();
    assert_eq!(
        lines,
        [
            ("GET /base/v2/keys/p/a%252fb?quorum=true&recursive=false&sorted=false", ""),
            ("PUT /base/v2/keys/p/a%252fb", "ttl=90&value=%7B%22a%22%3A%201%7D"),
            ("GET /base/v2/keys/d?quorum=true&recursive=false&sorted=true", ""),
            ("GET /base/v2/keys/d?quorum=true&recursive=false&sorted=true", ""),
            ("DELETE /base/v2/keys/d?dir=true", ""),
        ]
    );
    for heard in heard {
        let header = |name: &str| heard.headers.iter().find(|header| header.to_lowercase().starts_with(name));
        assert_eq!(header("host").unwrap().to_lowercase(), format!("host: {}", fake.authority()));
        assert!(header("authorization").unwrap().ends_with(": Basic dTpw"));
        let form =
            header("content-type").map(|header| header.ends_with(": application/x-www-form-urlencoded"));
        assert_eq!(form, heard.line.starts_with("PUT").then_some(true));
    }
}

#[tokio::test]
async fn a_name_without_password_is_not_sent() {
    for (username, password) in [("u", ""), ("", "p"), ("", "")] {
        let fake = Fake::once(vec![written(7)]);
        let config =
            EtcdConfig { username: username.to_owned(), password: password.into(), ..config(&[fake.url()]) };
        EtcdKv::new(&config).unwrap().put("/a", "x", Precondition::None, None).await.unwrap();
        let heard = fake.heard();
        assert!(!heard[0].headers.iter().any(|h| h.to_lowercase().starts_with("authorization")), "{heard:?}");
    }
}
