//! Users and passwords: what etcd refuses, and that a password is printed nowhere.

use margay_store::Kv;
use margay_store::kv::{KvError, Precondition, Watch};
use margay_store_etcd::{EtcdConfig, EtcdKv, Secret};
use margay_testkit::etcd::{AuthUser, Etcd};

use crate::fake::{Act, Fake, answer, refusal};
use crate::{config, impatient};

const CANARY: &str = "Canary-5ecret";

fn as_user(urls: &[String], username: &str, password: &str) -> EtcdKv {
    let config = EtcdConfig { username: username.to_owned(), password: password.into(), ..config(urls) };
    EtcdKv::new(&config).unwrap()
}

#[tokio::test]
async fn who_may_not_is_told_so_by_every_operation() {
    if !Etcd::available() {
        return;
    }
    let mut etcd = Etcd::start();
    etcd.put("/calico/v1/a", "1");
    etcd.put("/elsewhere/a", "1");
    let reader = AuthUser { name: "cni", password: CANARY, read: &["/calico/v1*"], write: &["/calico/v1/b"] };
    etcd.enable_auth("root secret", reader);
    let urls = etcd.client_urls();

    let cni = as_user(&urls, "cni", CANARY);
    assert_eq!(cni.get("/calico/v1/a").await.unwrap().unwrap().value, "1");
    cni.put("/calico/v1/b", "2", Precondition::None, None).await.unwrap();
    assert_eq!(etcd.get("/calico/v1/b").as_deref(), Some("2"));
    let refused = [
        cni.get("/elsewhere/a").await.map(drop),
        cni.list("/elsewhere", &mut |_| {}).await.map(drop),
        cni.put("/calico/v1/a", "2", Precondition::None, None).await.map(drop),
        cni.delete("/calico/v1/a", Precondition::None).await,
        cni.make_directory("/elsewhere/b").await,
        cni.watch("/elsewhere", 1).await.unwrap().next().await.map(drop),
        as_user(&urls, "cni", "wrong").get("/calico/v1/a").await.map(drop),
        as_user(&urls, "nobody", CANARY).get("/calico/v1/a").await.map(drop),
        as_user(&urls, "", "").get("/calico/v1/a").await.map(drop),
    ];
    for outcome in refused {
        let error = outcome.unwrap_err();
        assert!(matches!(error, KvError::Unauthorized), "{error:?}");
        assert_eq!(error.to_string(), "connection is unauthorized");
    }
    assert_eq!(etcd.get("/calico/v1/a").as_deref(), Some("1"));
}

#[tokio::test]
async fn the_password_is_printed_nowhere() {
    let mut printed = vec![format!("{:?}", Secret::from(CANARY))];
    let answers = [
        Act::Say(answer("401 Unauthorized", 9, "{\"message\":\"no\"}")),
        Act::Say(answer("403 Forbidden", 9, &refusal(110, "no", "x", 9))),
        Act::Say(answer("200 OK", 9, "rubbish")),
        Act::Say(answer("404 Not Found", 9, "no page")),
        Act::Say(answer("503 Service Unavailable", 9, "")),
        Act::Stall(String::new()),
        Act::Close(String::new()),
        Act::Close("rubbish\r\n".to_owned()),
        Act::Close("HTTP/1.1 307 Temporary Redirect\r\nLocation: ftp://x\r\n\r\n".to_owned()),
    ];
    for act in answers {
        let fake = Fake::start(vec![vec![act.clone()], vec![act]]);
        let config =
            EtcdConfig { username: "u".to_owned(), password: CANARY.into(), ..config(&[fake.url()]) };
        let kv = EtcdKv::with_options(&config, impatient()).unwrap();
        let read = kv.get("/a").await.unwrap_err();
        let created = kv.put("/a", "x", Precondition::Absent, None).await.unwrap_err();
        printed.extend([format!("{config:?} {kv:?} {read} {read:?} {created} {created:?}")]);
        assert!(fake.heard()[0].headers.iter().any(|header| header.contains("Basic ")));
    }
    for endpoint in
        [format!("http://u:{CANARY}@127.0.0.1:1"), format!("u:{CANARY}@x"), format!("http://{CANARY}@x:y")]
    {
        let error = EtcdKv::new(&config(&[endpoint])).unwrap_err();
        printed.push(format!("{error} {error:?}"));
    }
    let unread = EtcdConfig {
        password: CANARY.into(),
        ca_cert_file: "/no/such/file".to_owned(),
        ..config(&["https://x".to_owned()])
    };
    let error = EtcdKv::new(&unread).unwrap_err();
    printed.push(format!("{error} {error:?}"));
    for text in printed {
        assert!(!text.contains(CANARY), "{text}");
    }
}
