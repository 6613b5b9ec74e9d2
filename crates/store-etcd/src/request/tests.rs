//! Requests as the table of `spec/datastore-etcdv2.md` 1.1 has them.

use super::*;

fn line(request: &Request) -> String {
    format!("{} {} {}", request.method, request.target, String::from_utf8_lossy(&request.body))
}

#[test]
fn each_operation_has_its_request() {
    let at = |index| Precondition::Revision(Revision::new(index).unwrap());
    let put = |when| Request::put("/a/b", "x", when, None);
    let cases = [
        (put(Precondition::Absent), "PUT /v2/keys/a/b?prevExist=false value=x", Repeat::Never),
        (put(Precondition::Present), "PUT /v2/keys/a/b?prevExist=true value=x", Repeat::Always),
        (put(at(65)), "PUT /v2/keys/a/b?prevExist=true&prevIndex=65 value=x", Repeat::Unsent),
        (put(Precondition::None), "PUT /v2/keys/a/b value=x", Repeat::Always),
        (Request::make_directory("/a"), "PUT /v2/keys/a?dir=true&prevExist=false ", Repeat::Always),
        (Request::get("/a"), "GET /v2/keys/a?quorum=true&recursive=false&sorted=false ", Repeat::Always),
        (Request::list("/a"), "GET /v2/keys/a?quorum=true&recursive=true&sorted=true ", Repeat::Always),
        (Request::children("/a"), "GET /v2/keys/a?quorum=true&recursive=false&sorted=true ", Repeat::Always),
        (Request::delete("/a", None), "DELETE /v2/keys/a?recursive=true ", Repeat::Never),
        (
            Request::delete("/a", Revision::new(68)),
            "DELETE /v2/keys/a?prevIndex=68&recursive=true ",
            Repeat::Never,
        ),
        (Request::remove_directory("/a"), "DELETE /v2/keys/a?dir=true ", Repeat::Never),
        (Request::watch("/a", 7), "GET /v2/keys/a?wait=true&waitIndex=7&recursive=true ", Repeat::Always),
    ];
    for (request, expected, repeat) in cases {
        assert_eq!((line(&request).as_str(), request.repeat), (expected, repeat));
        assert_eq!(request.waits, expected.contains("wait=true"));
    }
}

#[test]
fn a_ttl_is_whole_seconds_or_none() {
    let put = |ttl| line(&Request::put("/a", "x", Precondition::None, Some(ttl)));
    assert_eq!(put(Duration::from_millis(90_999)), "PUT /v2/keys/a ttl=90&value=x");
    assert_eq!(put(Duration::from_millis(999)), "PUT /v2/keys/a value=x");
}

#[test]
fn keys_are_escaped_on_top_of_their_own_escapes() {
    let cases = [
        ("/profile/a%2fb/tags", "/v2/keys/profile/a%252fb/tags"),
        ("/rr_v6/fd80::1", "/v2/keys/rr_v6/fd80::1"),
        ("/a b/c?d#e", "/v2/keys/a%20b/c%3Fd%23e"),
        ("/é\"\\", "/v2/keys/%C3%A9%22%5C"),
        ("/a+b&c=d;e,f@g$h~i-j_k.l", "/v2/keys/a+b&c=d;e,f@g$h~i-j_k.l"),
        ("/%é", "/v2/keys/%25%C3%A9"),
    ];
    for (key, expected) in cases {
        let request = Request::put(key, "", Precondition::None, None);
        assert_eq!(request.target, expected);
    }
}

#[test]
fn values_are_escaped_as_a_form() {
    let put = |value| line(&Request::put("/a", value, Precondition::None, None));
    assert_eq!(put("a=b&c +%é\n"), "PUT /v2/keys/a value=a%3Db%26c%20%2B%25%C3%A9%0A");
    assert_eq!(put("aZ09-_.~"), "PUT /v2/keys/a value=aZ09-_.~");
}
