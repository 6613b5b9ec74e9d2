//! The order of asking, and where redirections lead.

use super::*;

fn leads(from: &str, location: &str) -> Result<(String, String), &'static str> {
    let mut headers = HeaderMap::new();
    headers.insert(header::LOCATION, HeaderValue::try_from(location).unwrap());
    follow(&Endpoint::parse(from).unwrap(), &headers).map(|(endpoint, target)| (endpoint.url, target))
}

#[test]
fn each_order_of_the_members_comes_up() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let mut members = ["a", "b", "c"];
        shuffle(&mut members, seed);
        seen.insert(members);
    }
    assert_eq!(seen.len(), 6);
}

#[test]
fn redirections_lead_to_a_member_and_never_out_of_tls() {
    let place = |url: &str, target: &str| Ok((url.to_owned(), target.to_owned()));
    let target = "/v2/keys/a%252fb?wait=true";
    assert_eq!(leads("http://a:1", &format!("http://b:2{target}")), place("http://b:2", target));
    assert_eq!(leads("http://a:1", &format!("https://b:2{target}")), place("https://b:2", target));
    assert_eq!(leads("https://a:1", target), place("https://a:1", target));
    assert_eq!(leads("https://a:1", "http://a:1/x"), Err("redirected from TLS to plain HTTP"));
    assert_eq!(leads("http://a:1", "//b/x"), Err("redirected to something that is no URL"));
    assert_eq!(leads("http://a:1", "ftp://b/x"), Err("redirected to something that is no URL of etcd"));
    let none = follow(&Endpoint::parse("http://a:1").unwrap(), &HeaderMap::new()).unwrap_err();
    assert_eq!(none, "redirected without a Location");
}

#[test]
fn a_refusal_prints_as_upstreams_client_prints_it() {
    let body = br#"{"errorCode":102,"message":"Not a file","cause":"/a","index":5}"#;
    assert_eq!(Refusal::parse(body).unwrap().to_string(), "102: Not a file (/a) [5]");
    assert_eq!(Refusal::parse(b"{\"message\":\"no code\"}"), None);
    assert_eq!(Refusal::parse(b"404 page not found"), None);
}
