//! Finding the cluster that a command is about.

use ray_core::control::{Client, Current};

use crate::Failed;

/// Which cluster to ask.
#[derive(clap::Args)]
pub struct Connect {
    /// Where the head listens [default: RAY_ADDRESS, else your head on this machine].
    #[arg(long, value_name = "HOST:PORT", value_parser = crate::options::address)]
    address: Option<String>,
    /// What lets you ask it [default: RAY_TOKEN, which other users cannot read in a process list].
    #[arg(long)]
    token: Option<String>,
}

impl Connect {
    /// Returns whether a cluster is named among the options.
    pub fn has_address(&self) -> bool {
        self.address.is_some()
    }

    /// Returns a client of the cluster that the options, the environment or this machine name.
    ///
    /// # Errors
    /// What is missing, and where to get it.
    pub fn client(&self) -> Result<Client, Failed> {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let address = self.address.clone().or_else(|| variable("RAY_ADDRESS"));
        let token = self.token.clone().or_else(|| variable("RAY_TOKEN"));
        match (address, token) {
            (Some(address), Some(token)) => Ok(Client::new(address, token.parse()?)),
            (Some(address), None) => match Current::find()? {
                Some(current) if current.address == address => Ok(current.client()),
                _ => Err(format!(
                    "asking the cluster at {address} takes a token: run `ray token create --role viewer` \
                     where its head runs, then set RAY_TOKEN"
                )
                .into()),
            },
            (None, token) => {
                let current = Current::find()?.ok_or(
                    "no head of yours runs on this machine: start one with `ray start --head`, or set \
                     RAY_ADDRESS and RAY_TOKEN",
                )?;
                match token {
                    Some(token) => Ok(Client::new(current.address, token.parse()?)),
                    None => Ok(current.client()),
                }
            }
        }
    }
}
