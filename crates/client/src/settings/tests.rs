use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::{DatastoreKind, Origin, Settings, SettingsError, Sources, file, sqlite_path, without_user};

/// Names and values of variables.
type Pairs<'a> = &'a [(&'a str, &'a str)];

type Env = BTreeMap<String, OsString>;

fn env(pairs: Pairs<'_>) -> Env {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect()
}

/// As calicoctl called without `--config`, with no file at the default path.
fn from_env(pairs: Pairs<'_>, default: DatastoreKind) -> Result<Settings, SettingsError> {
    let env = env(pairs);
    Settings::load(&Sources {
        config_path: "absent.cfg",
        config_is_default: true,
        cwd: Path::new("/nonexistent"),
        env: &env,
        default,
    })
}

fn from_file(content: &str, env: &Env) -> Result<Settings, SettingsError> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("c.cfg"), content).unwrap();
    Settings::load(&Sources {
        config_path: "c.cfg",
        config_is_default: false,
        cwd: directory.path(),
        env,
        default: DatastoreKind::Etcd,
    })
}

fn spec(lines: &str) -> String {
    format!("apiVersion: v1\nkind: calicoApiConfig\nmetadata:\nspec:\n{lines}")
}

/// The text of loading and then checking, as a command prints it.
fn checked(settings: Result<Settings, SettingsError>) -> String {
    settings
        .and_then(|settings| settings.check())
        .map_or_else(|error| error.to_string(), |()| "ok".to_owned())
}

#[test]
fn variables_are_refused_with_upstreams_words() {
    let insecure = "envconfig.Process: assigning CALICO_K8S_INSECURE_SKIP_TLS_VERIFY to K8sInsecureSkipTLSVerify: \
                    converting 'maybe' to type bool. details: strconv.ParseBool: parsing \"maybe\": invalid syntax";
    let poll = "envconfig.Process: assigning CALICO_K8S_DISABLE_NODE_POLL to K8sDisableNodePoll: \
                converting '' to type bool. details: strconv.ParseBool: parsing \"\": invalid syntax";
    let cases: [(Pairs<'_>, &str); 14] = [
        (&[], "ok"),
        (&[("DATASTORE_TYPE", "consul")], "Unknown datastore type: consul"),
        (
            &[("CALICO_DATASTORE_TYPE", "consul"), ("DATASTORE_TYPE", "etcdv2")],
            "Unknown datastore type: consul",
        ),
        (&[("CALICO_DATASTORE_TYPE", "etcdv2"), ("DATASTORE_TYPE", "consul")], "ok"),
        (&[("DATASTORE_TYPE", "")], "Unknown datastore type: "),
        (&[("CALICO_DATASTORE_TYPE", ""), ("DATASTORE_TYPE", "etcdv2")], "Unknown datastore type: "),
        (&[("ETCD_AUTHORITY", "")], "no etcd authority or endpoints specified"),
        (&[("ETCD_AUTHORITY", "127.0.0.1:1"), ("ETCD_ENDPOINTS", "http://127.0.0.1:2379")], "ok"),
        (&[("ETCD_AUTHORITY", ""), ("ETCD_ENDPOINTS", "http://127.0.0.1:2379")], "ok"),
        (&[("APIV1_ETCD_ENDPOINTS", "http://127.0.0.1:1"), ("APIV1_DATASTORE_TYPE", "x")], "ok"),
        (&[("K8S_INSECURE_SKIP_TLS_VERIFY", "maybe")], insecure),
        (&[("CALICO_K8S_DISABLE_NODE_POLL", "")], poll),
        (&[("K8S_INSECURE_SKIP_TLS_VERIFY", "maybe"), ("K8S_DISABLE_NODE_POLL", "")], insecure),
        (&[("ETCD_KEY_FILE", "/k")], "KeyFile and CertFile must both be present[key: /k, cert: ]"),
    ];
    for (pairs, text) in cases {
        assert_eq!(checked(from_env(pairs, DatastoreKind::Etcd)), text, "{pairs:?}");
    }
}

#[test]
fn bools_are_quoted_as_go_quotes_them() {
    let error = from_env(&[("K8S_DISABLE_NODE_POLL", "a\"b\n\u{1}")], DatastoreKind::Etcd).unwrap_err();
    assert!(error.to_string().ends_with(r#"parsing "a\"b\n\x01": invalid syntax"#), "{error}");
    for word in ["1", "t", "T", "TRUE", "true", "True"] {
        let settings = from_env(&[("K8S_DISABLE_NODE_POLL", word)], DatastoreKind::Etcd).unwrap();
        assert!(settings.kubernetes.disable_node_poll, "{word}");
    }
}

#[test]
fn the_prefixed_variable_wins_even_when_empty() {
    let settings = from_env(
        &[("CALICO_ETCD_ENDPOINTS", ""), ("ETCD_ENDPOINTS", "http://a:1"), ("CALICO_ETCD_AUTHORITY", "b:2")],
        DatastoreKind::Etcd,
    );
    assert_eq!(settings.unwrap().etcd.urls(), ["http://b:2"]);
}

#[test]
fn each_program_has_its_default_until_something_is_configured() {
    let cases: [(Pairs<'_>, DatastoreKind, DatastoreKind); 7] = [
        (&[], DatastoreKind::Etcd, DatastoreKind::Etcd),
        (&[], DatastoreKind::Sqlite, DatastoreKind::Sqlite),
        (&[("ETCD_ENDPOINTS", "http://a:1")], DatastoreKind::Sqlite, DatastoreKind::Etcd),
        (&[("CALICO_ETCD_AUTHORITY", "a:1")], DatastoreKind::Sqlite, DatastoreKind::Etcd),
        (
            &[("ETCD_ENDPOINTS", "http://a:1"), ("SQLITE_PATH", "/x")],
            DatastoreKind::Sqlite,
            DatastoreKind::Sqlite,
        ),
        (&[("SQLITE_PATH", "/x")], DatastoreKind::Etcd, DatastoreKind::Etcd),
        (&[("CALICO_DATASTORE_TYPE", "sqlite")], DatastoreKind::Etcd, DatastoreKind::Sqlite),
    ];
    for (pairs, default, wanted) in cases {
        assert_eq!(from_env(pairs, default.clone()).unwrap().datastore, wanted, "{pairs:?} {default}");
    }
    let settings = from_env(&[], DatastoreKind::Etcd).unwrap();
    assert_eq!(settings.etcd.urls(), ["http://127.0.0.1:2379"]);
}

#[test]
fn the_embedded_datastore_is_where_the_variables_say() {
    let path = |pairs: Pairs<'_>| from_env(pairs, DatastoreKind::Sqlite).unwrap().sqlite_path;
    assert_eq!(path(&[("SQLITE_PATH", "/a/b.db")]), Path::new("/a/b.db"));
    assert_eq!(path(&[("SQLITE_PATH", "b.db")]), Path::new("/nonexistent/b.db"));
    assert_eq!(path(&[("CALICO_SQLITE_PATH", "/c.db"), ("SQLITE_PATH", "/a/b.db")]), Path::new("/c.db"));
}

#[test]
fn the_default_file_is_the_systems_where_that_can_be_written_else_the_users() {
    let directory = tempfile::tempdir().unwrap();
    // Below a file nobody can make a file, not even root.
    std::fs::write(directory.path().join("file"), "").unwrap();
    let (good, bad) = (directory.path().join("new/datastore.db"), directory.path().join("file/datastore.db"));
    let default = |pairs: Pairs<'_>, system: &Path| {
        let env = env(pairs);
        let sources = Sources {
            config_path: "",
            config_is_default: true,
            cwd: Path::new("/"),
            env: &env,
            default: DatastoreKind::Sqlite,
        };
        sqlite_path::default(&sources, system)
    };
    let home: [(&str, &str); 1] = [("HOME", "/home/u")];
    assert_eq!(default(&home, &good), good);
    assert_eq!(default(&home, &bad), Path::new("/home/u/.local/state/margay/datastore.db"));
    let both = [("HOME", "/home/u"), ("XDG_STATE_HOME", "/state")];
    assert_eq!(default(&both, &bad), Path::new("/state/margay/datastore.db"));
    // The specification of these directories says that a relative one does not count.
    let relative = [("HOME", "/home/u"), ("XDG_STATE_HOME", "state")];
    assert_eq!(default(&relative, &bad), Path::new("/home/u/.local/state/margay/datastore.db"));
    assert_eq!(default(&[], &bad), bad);
}

#[test]
fn a_file_hides_the_environment_and_has_no_defaults() {
    let env = env(&[("ETCD_ENDPOINTS", "http://env:1"), ("K8S_INSECURE_SKIP_TLS_VERIFY", "maybe")]);
    let settings = from_file(&spec("  etcdAuthority: file:2\n"), &env).unwrap();
    assert_eq!(settings.datastore, DatastoreKind::Etcd);
    assert_eq!(settings.etcd.urls(), ["http://file:2"], "a scheme is filled in, upstream fails");
    assert_eq!(settings.origin, Origin::File("c.cfg".to_owned()));
    assert_eq!(checked(from_file(&spec(""), &env)), "no etcd authority or endpoints specified");
    let sqlite = from_file(&spec("  datastoreType: sqlite\n  sqlitePath: /x/y.db\n"), &env).unwrap();
    assert_eq!((sqlite.datastore, sqlite.sqlite_path), (DatastoreKind::Sqlite, PathBuf::from("/x/y.db")));
}

#[test]
fn faulty_files_are_refused_with_upstreams_words() {
    let none = Env::new();
    for (content, text) in [
        ("", "syntax error in c.cfg: invalid config file: unknown APIVersion ''"),
        (
            "apiVersion: v1\nkind: policy\n",
            "syntax error in c.cfg: invalid config file: expected kind 'calicoApiConfig', got 'policy'",
        ),
        (
            "apiVersion: v1\nkind: calicoApiConfig\nspec: {etcdEndpiont: x}\n",
            "syntax error in c.cfg: error parsing document: field in document is not recognized or is in the \
             wrong location: etcdEndpiont",
        ),
        (&spec("  datastoreType: consul\n"), "Unknown datastore type: consul"),
        (&spec("  datastoreType: ''\n"), "Unknown datastore type: "),
    ] {
        assert_eq!(checked(from_file(content, &none)), text, "{content}");
    }
}

#[test]
fn a_fault_in_a_file_is_located_and_corrected() {
    let error = from_file(&spec("  etcdEndpiont: x\n"), &Env::new()).unwrap_err();
    assert_eq!(error.reasons(), ["c.cfg:5:3: unknown field 'etcdEndpiont'"]);
    assert_eq!(error.hint().as_deref(), Some("did you mean 'etcdEndpoints'?"));
}

#[test]
fn a_missing_file_counts_only_when_it_was_named() {
    let none = Env::new();
    let load = |path: &str, is_default| {
        Settings::load(&Sources {
            config_path: path,
            config_is_default: is_default,
            cwd: Path::new("/"),
            env: &none,
            default: DatastoreKind::Etcd,
        })
    };
    assert!(load("/etc/absent.cfg", true).is_ok());
    let error = load("absent.cfg", false).unwrap_err();
    assert_eq!(error.to_string(), "Error reading config file: absent.cfg");
    assert!(!error.is_prefixed());
    assert_eq!(error.reasons(), ["no such file or directory"]);
    assert_eq!(load("", false).unwrap_err().to_string(), "Error reading config file: ");
}

#[test]
fn an_unreadable_file_is_an_error_in_gos_words() {
    let directory = tempfile::tempdir().unwrap();
    let none = Env::new();
    // Also root cannot read a directory as a file.
    let path = directory.path().to_str().unwrap();
    let error = Settings::load(&Sources {
        config_path: path,
        config_is_default: true,
        cwd: Path::new("/"),
        env: &none,
        default: DatastoreKind::Etcd,
    });
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), format!("read {path}: is a directory"));
    assert!(error.is_prefixed());
    let denied = io::Error::from_raw_os_error(13);
    assert_eq!(file::os_text(&denied), "permission denied");
}

#[test]
fn endpoints_are_trimmed_and_get_a_scheme() {
    for (endpoints, urls) in [
        ("http://a:1,https://b:2", vec!["http://a:1", "https://b:2"]),
        (" a:1 , http://b:2,", vec!["http://a:1", "http://b:2"]),
    ] {
        let settings = from_env(&[("ETCD_ENDPOINTS", endpoints)], DatastoreKind::Etcd).unwrap();
        assert_eq!(settings.etcd.urls(), urls);
    }
    let https = from_env(&[("ETCD_SCHEME", "https"), ("ETCD_AUTHORITY", "a:1")], DatastoreKind::Etcd);
    assert_eq!(https.unwrap().etcd.urls(), ["https://a:1"]);
}

#[test]
fn credentials_count_only_together() {
    let user = |pairs: Pairs<'_>| {
        let settings = from_env(pairs, DatastoreKind::Etcd).unwrap();
        settings.etcd.credentials().map(|(name, password)| format!("{name}:{}", password.expose()))
    };
    assert_eq!(user(&[("ETCD_USERNAME", "u"), ("ETCD_PASSWORD", "p")]).as_deref(), Some("u:p"));
    assert_eq!(user(&[("ETCD_USERNAME", "u")]), None);
    assert_eq!(user(&[("ETCD_PASSWORD", "p")]), None);
}

#[test]
fn no_description_or_dump_shows_a_secret() {
    let settings = from_env(
        &[
            ("ETCD_USERNAME", "u"),
            ("ETCD_PASSWORD", "hunter2"),
            ("K8S_API_TOKEN", "hunter2"),
            ("ETCD_ENDPOINTS", "https://me:hunter2@a:1/x"),
        ],
        DatastoreKind::Etcd,
    );
    let mut settings = settings.unwrap();
    let etcd = settings.describe();
    assert!(etcd.contains(&("endpoints", "https://***@a:1/x".to_owned())), "{etcd:?}");
    assert!(etcd.contains(&("user", "u, password ***".to_owned())), "{etcd:?}");
    settings.datastore = DatastoreKind::Kubernetes;
    let kubernetes = settings.describe();
    assert!(kubernetes.contains(&("token", "***".to_owned())), "{kubernetes:?}");
    assert!(!format!("{etcd:?} {kubernetes:?}").contains("hunter2"));
    assert!(!format!("{:?} {:?}", settings.etcd.password, settings).contains("hunter2"));
}

#[test]
fn a_description_names_the_variables_that_count() {
    let origin = |pairs: Pairs<'_>| from_env(pairs, DatastoreKind::Sqlite).unwrap().describe()[0].1.clone();
    assert_eq!(origin(&[("KUBECONFIG", "/k")]), "defaults");
    assert_eq!(
        origin(&[("KUBECONFIG", "/k"), ("CALICO_DATASTORE_TYPE", "etcdv2"), ("ETCD_SCHEME", "https")]),
        "environment: CALICO_DATASTORE_TYPE, ETCD_SCHEME"
    );
}

#[test]
fn users_are_cut_out_of_urls() {
    for (url, shown) in [
        ("http://a:1", "http://a:1"),
        ("http://u:p@a:1", "http://***@a:1"),
        ("http://u:p@q@a:1/x@y", "http://***@a:1/x@y"),
        ("u:p@a", "***@a"),
        ("http://a/x?y=u@b", "http://a/x?y=u@b"),
    ] {
        assert_eq!(without_user(url), shown);
    }
}

#[test]
fn a_variable_that_is_no_text_is_named() {
    use std::os::unix::ffi::OsStringExt as _;
    let mut env = Env::new();
    env.insert("ETCD_USERNAME".to_owned(), OsString::from_vec(vec![0xff]));
    let error = Settings::load(&Sources {
        config_path: "absent",
        config_is_default: true,
        cwd: Path::new("/nonexistent"),
        env: &env,
        default: DatastoreKind::Etcd,
    });
    assert_eq!(error.unwrap_err().to_string(), "environment variable ETCD_USERNAME is not valid UTF-8");
}

#[test]
fn an_unknown_word_is_corrected() {
    let hint = |word: &str| SettingsError::UnknownDatastore { word: word.to_owned() }.hint().unwrap();
    assert_eq!(hint("sqllite"), "did you mean 'sqlite'?");
    assert_eq!(hint("consul"), "the datastore type is one of etcdv2, kubernetes, sqlite");
}
