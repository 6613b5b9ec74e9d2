//! Configuration values: four friendly ones, and raw ones (`spec/api-v1.md` 9.1, 9.2; `spec/calicoctl.md` 8).

use margay_model::Key;
use margay_model::pattern::Pattern;
use margay_net::AsNumber;
use margay_store::datastore::{Datastore, Error, Result as StoreResult};
use margay_store::kv::Precondition;

use crate::client::{Client, ClientError};

/// The levels of `logLevel` and what BGP programs are told of each.
const LEVELS: [(&str, &str); 6] = [
    ("none", "none"),
    ("debug", "debug"),
    ("info", "info"),
    ("warning", "none"),
    ("error", "none"),
    ("critical", "none"),
];

const DEFAULT_LEVEL: &str = "info";
const DEFAULT_AS: AsNumber = AsNumber(64512);

/// The friendly names, for hints.
const NAMES: [&str; 4] = ["logLevel", "nodeToNodeMesh", "asNumber", "ipip"];

const MESH_ON: &str = r#"{"enabled":true}"#;
const MESH_OFF: &str = r#"{"enabled":false}"#;

/// A value with a friendly name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Friendly {
    LogLevel,
    NodeToNodeMesh,
    AsNumber,
    IpIp,
}

/// A value under its stored name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Raw {
    key: Key,
}

/// What a name means, with or without `--raw`.
enum Target {
    Friendly(Friendly),
    Raw(Raw),
}

/// Why a configuration value was not read or written. `Display` is upstream's text.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConfigError {
    /// No friendly value has this name.
    #[error("unrecognised config name '{name}'")]
    UnknownName {
        /// The name as given.
        name: String,
    },
    /// `--raw` names no component.
    #[error("unrecognised component '{component}'")]
    UnknownComponent {
        /// The component as given.
        component: String,
    },
    /// The value is of the whole cluster.
    #[error("--node should not be specified")]
    NotOfNode,
    /// The value is neither `on` nor `off`.
    #[error("invalid value '{value}'")]
    NotSwitch {
        /// The value as given.
        value: String,
    },
    /// The value is no AS number.
    #[error("the supplied AS number is not valid")]
    NotAsNumber,
    /// The value is no log level.
    #[error("error with field loglevel = '{value}'")]
    NotLevel {
        /// The value as given.
        value: String,
    },
    /// The node's name cannot be one.
    #[error("error with field node = '{node}'")]
    BadNode {
        /// The name as given.
        node: String,
    },
    /// The stored value cannot be understood.
    #[error("{reason}")]
    Stored {
        /// What is wrong with it.
        reason: String,
        /// Where it stands.
        path: String,
    },
    /// The datastore failed.
    #[error(transparent)]
    Store(#[from] Error),
}

// === impl Client ===

impl<D: Datastore> Client<D> {
    /// Reads a configuration value as it is printed. `raw` is the component of a raw one: `felix` or `bgp`.
    ///
    /// # Errors
    /// The name is unknown, or not of a node, or the store failed.
    pub async fn get_config(
        &self,
        name: &str,
        node: Option<&str>,
        raw: Option<&str>,
    ) -> Result<String, ConfigError> {
        match Target::of(name, node, raw)? {
            Target::Raw(raw) => {
                let value = self.read(&raw.key).await?;
                Ok(value.map_or_else(|| "(unset)".to_owned(), |value| raw.shown(&value)))
            }
            Target::Friendly(Friendly::LogLevel) => self.log_level(node).await,
            Target::Friendly(Friendly::NodeToNodeMesh) => {
                let stored = self.read(&bgp(None, "node_mesh")).await?;
                Ok(switch(stored.is_none_or(|value| mesh_enabled(&value))))
            }
            Target::Friendly(Friendly::AsNumber) => {
                let key = bgp(None, "as_num");
                let Some(value) = self.read(&key).await? else { return Ok(DEFAULT_AS.to_string()) };
                let number = value.parse::<AsNumber>();
                number
                    .map(|number| number.to_string())
                    .map_err(|error| ConfigError::Stored { reason: error.to_string(), path: key.path() })
            }
            Target::Friendly(Friendly::IpIp) => {
                let stored = self.read(&felix(None, "IpInIpEnabled")).await?;
                Ok(switch(stored.is_some_and(|value| felix_true(&value))))
            }
        }
    }

    /// Writes a configuration value.
    ///
    /// # Errors
    /// The name is unknown, or not of a node, the value is not allowed, or the store failed.
    pub async fn set_config(
        &self,
        name: &str,
        value: &str,
        node: Option<&str>,
        raw: Option<&str>,
    ) -> Result<(), ConfigError> {
        match Target::of(name, node, raw)? {
            Target::Raw(raw) => self.put(&raw.key, &raw.stored(value)).await?,
            Target::Friendly(Friendly::LogLevel) => {
                let level = LEVELS.iter().find(|(level, _)| *level == value);
                let Some((level, bgp_level)) = level else {
                    return Err(ConfigError::NotLevel { value: value.to_owned() });
                };
                self.set_log_level(level, bgp_level, node).await?;
            }
            Target::Friendly(Friendly::NodeToNodeMesh) => {
                let mesh = if parse_switch(value)? { MESH_ON } else { MESH_OFF };
                self.put(&bgp(None, "node_mesh"), mesh).await?;
            }
            Target::Friendly(Friendly::AsNumber) => {
                let number: AsNumber = value.parse().map_err(|_| ConfigError::NotAsNumber)?;
                self.put(&bgp(None, "as_num"), &number.to_string()).await?;
            }
            Target::Friendly(Friendly::IpIp) => {
                let enabled = parse_switch(value)?.to_string();
                self.put(&felix(None, "IpInIpEnabled"), &enabled).await?;
            }
        }
        Ok(())
    }

    /// Puts a configuration value back to its default; of a node and of raw values, removes it.
    ///
    /// # Errors
    /// The name is unknown, or not of a node, or the store failed.
    pub async fn unset_config(
        &self,
        name: &str,
        node: Option<&str>,
        raw: Option<&str>,
    ) -> Result<(), ConfigError> {
        match Target::of(name, node, raw)? {
            Target::Raw(raw) => self.remove(&raw.key).await?,
            Target::Friendly(Friendly::LogLevel) => match node {
                None => self.set_log_level(DEFAULT_LEVEL, DEFAULT_LEVEL, None).await?,
                Some(_) => {
                    // Both are tried, also when the first fails.
                    let felix = self.remove(&felix(node, "LogSeverityScreen")).await;
                    let bgp = self.remove(&bgp(node, "loglevel")).await;
                    felix.and(bgp)?;
                }
            },
            Target::Friendly(Friendly::NodeToNodeMesh) => self.put(&bgp(None, "node_mesh"), MESH_ON).await?,
            Target::Friendly(Friendly::AsNumber) => {
                self.put(&bgp(None, "as_num"), &DEFAULT_AS.to_string()).await?;
            }
            Target::Friendly(Friendly::IpIp) => self.put(&felix(None, "IpInIpEnabled"), "false").await?,
        }
        Ok(())
    }

    async fn log_level(&self, node: Option<&str>) -> Result<String, ConfigError> {
        if node.is_some()
            && let Some(level) = self.read(&felix(node, "LogSeverityScreen")).await?
        {
            return Ok(level);
        }
        let global = self.read(&felix(None, "LogSeverityScreen")).await?;
        let level = global.unwrap_or_else(|| DEFAULT_LEVEL.to_owned());
        Ok(if node.is_some() { format!("{level} (inherited from global)") } else { level })
    }

    /// Writes both keys, the second also when the first fails.
    async fn set_log_level(&self, level: &str, bgp_level: &str, node: Option<&str>) -> StoreResult<()> {
        let felix = self.put(&felix(node, "LogSeverityScreen"), level).await;
        let bgp = self.put(&bgp(node, "loglevel"), bgp_level).await;
        felix.and(bgp)
    }

    async fn read(&self, key: &Key) -> StoreResult<Option<String>> {
        Ok(self.store().get_record(key).await?.map(|record| record.value))
    }

    async fn put(&self, key: &Key, value: &str) -> StoreResult<()> {
        self.store().put_record(key, value, Precondition::None).await.map(|_| ())
    }

    async fn remove(&self, key: &Key) -> StoreResult<()> {
        match self.store().delete_record(key, Precondition::None).await {
            Err(error) if error.is_absent() => Ok(()),
            outcome => outcome,
        }
    }
}

// === impl Target ===

impl Target {
    fn of(name: &str, node: Option<&str>, raw: Option<&str>) -> Result<Self, ConfigError> {
        let target = match raw {
            Some("felix") => Self::Raw(Raw { key: felix(node, name) }),
            Some("bgp") => Self::Raw(Raw::bgp(node, name)),
            Some(component) => {
                return Err(ConfigError::UnknownComponent { component: component.to_owned() });
            }
            None => Self::Friendly(Friendly::of(name, node)?),
        };
        match node {
            // It becomes a part of the key.
            Some(node) if !Pattern::Name.matches(node) => Err(ConfigError::BadNode { node: node.to_owned() }),
            _ => Ok(target),
        }
    }
}

// === impl Friendly ===

impl Friendly {
    /// The value that a name in any letter case means.
    fn of(name: &str, node: Option<&str>) -> Result<Self, ConfigError> {
        let friendly = match name.to_lowercase().as_str() {
            "loglevel" => Self::LogLevel,
            "nodetonodemesh" => Self::NodeToNodeMesh,
            "asnumber" => Self::AsNumber,
            "ipip" => Self::IpIp,
            _ => return Err(ConfigError::UnknownName { name: name.to_owned() }),
        };
        if node.is_some() && friendly != Self::LogLevel {
            return Err(ConfigError::NotOfNode);
        }
        Ok(friendly)
    }
}

// === impl Raw ===

impl Raw {
    /// A BGP value; the global ones have a second name.
    fn bgp(node: Option<&str>, name: &str) -> Self {
        let stored = match (node, name) {
            (None, "AsNumber") => "as_num",
            (None, "LogLevel") => "loglevel",
            (None, "NodeMeshEnabled") => "node_mesh",
            _ => name,
        };
        Self { key: bgp(node, stored) }
    }

    fn is_mesh(&self) -> bool {
        matches!(&self.key, Key::BgpConfig { node: None, name } if name == "node_mesh")
    }

    fn stored(&self, value: &str) -> String {
        match (self.is_mesh(), value) {
            (false, _) => value.to_owned(),
            (true, "true") => MESH_ON.to_owned(),
            (true, _) => MESH_OFF.to_owned(),
        }
    }

    fn shown(&self, stored: &str) -> String {
        if self.is_mesh() { mesh_enabled(stored).to_string() } else { stored.to_owned() }
    }
}

// === impl ConfigError ===

impl ConfigError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownName { name } => {
                let near = margay_model::decode::nearest(name, NAMES.into_iter());
                Some(near.map_or_else(
                    || format!("names are {}; others need --raw=felix or --raw=bgp", NAMES.join(", ")),
                    |near| format!("did you mean '{near}'?"),
                ))
            }
            Self::UnknownComponent { .. } => Some("write --raw=felix or --raw=bgp".to_owned()),
            Self::NotOfNode => {
                Some("this value is of the whole cluster; only logLevel may be of a node".to_owned())
            }
            Self::NotSwitch { .. } => Some("write on or off, in lower case".to_owned()),
            Self::NotAsNumber => {
                Some("write 0 to 4294967295, or two numbers up to 65535 with a dot".to_owned())
            }
            Self::NotLevel { .. } => {
                Some(format!("levels are {}", LEVELS.map(|(level, _)| level).join(", ")))
            }
            Self::BadNode { .. } => Some(format!("a node's name has {}", Pattern::Name.allows())),
            Self::Stored { path, .. } => Some(format!("the value stands at {path}; set or unset it")),
            Self::Store(error) => ClientError::from(error.clone()).hints().into_iter().next(),
        }
    }
}

// === helpers ===

fn felix(node: Option<&str>, name: &str) -> Key {
    Key::FelixConfig { node: node.map(str::to_owned), name: name.to_owned() }
}

fn bgp(node: Option<&str>, name: &str) -> Key {
    Key::BgpConfig { node: node.map(str::to_owned), name: name.to_owned() }
}

fn switch(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

fn parse_switch(value: &str) -> Result<bool, ConfigError> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(ConfigError::NotSwitch { value: value.to_owned() }),
    }
}

/// What the stored mesh value says; what is not understood counts as off.
fn mesh_enabled(stored: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Mesh {
        #[serde(default)]
        enabled: bool,
    }
    serde_json::from_str::<Mesh>(stored).is_ok_and(|mesh| mesh.enabled)
}

/// True for what Felix takes for true.
fn felix_true(value: &str) -> bool {
    matches!(value.to_lowercase().as_str(), "true" | "1" | "yes" | "y" | "t")
}

#[cfg(test)]
mod tests;
