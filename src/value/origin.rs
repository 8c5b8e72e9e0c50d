//! Where does something come from? An [`Origin`], and the set of all that went into it: [`Origins`].

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a claim comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Computed from what tools returned.
    Tool,
    /// Said by a model.
    Model,
    /// Said by a person.
    Person,
    /// Brought in from outside by a tool that nobody vouches for: a page of the web, an MCP server, a log.
    Untrusted,
}

impl Origin {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tool, Self::Model, Self::Person, Self::Untrusted];

    /// The name that files and JSON use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Model => "model",
            Self::Person => "person",
            Self::Untrusted => "untrusted",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Tool => 1,
            Self::Model => 2,
            Self::Person => 4,
            Self::Untrusted => 8,
        }
    }
}

/// A set of origins: what somebody says has those of all that it had read, and its own. It is written as a list of names.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Origins(u8);

impl Origins {
    /// Both sets together.
    #[must_use]
    pub fn with(self, other: impl Into<Self>) -> Self {
        Self(self.0 | other.into().0)
    }

    /// Whether that one is among them.
    pub fn has(self, origin: Origin) -> bool {
        self.0 & origin.bit() != 0
    }

    /// Whether part of it came from outside.
    pub fn is_untrusted(self) -> bool {
        self.has(Origin::Untrusted)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Each, in their order.
    pub fn list(self) -> Vec<Origin> {
        Origin::ALL.into_iter().filter(|origin| self.has(*origin)).collect()
    }
}

impl From<Origin> for Origins {
    fn from(origin: Origin) -> Self {
        Self(origin.bit())
    }
}

impl FromIterator<Self> for Origins {
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        sets.into_iter().fold(Self::default(), Self::with)
    }
}

impl std::fmt::Debug for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.list()).finish()
    }
}

impl Serialize for Origins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Origins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Origin>::deserialize(deserializer)?.into_iter().map(Self::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_origins_is_written_as_the_list_of_their_names() {
        let both = Origins::from(Origin::Untrusted).with(Origin::Tool).with(Origin::Tool);
        assert_eq!(serde_json::to_string(&both).unwrap(), r#"["tool","untrusted"]"#);
        assert_eq!(serde_json::from_str::<Origins>(r#"["untrusted","tool"]"#).unwrap(), both);
        assert!(both.is_untrusted() && !both.has(Origin::Person) && Origins::default().is_empty());
        assert_eq!(Origin::ALL.map(|o| serde_json::to_string(&o).unwrap()), Origin::ALL.map(|o| format!("{:?}", o.name())));
    }
}
