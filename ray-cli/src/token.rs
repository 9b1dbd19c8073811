//! `ray token`: who may join the cluster, look at it, or change it.

use ray_core::control::{Answer, Command, Role};

use crate::{
    Failed,
    connect::Connect,
    table::{Format, lines, note, print, say, span},
};

/// What to do with tokens.
#[derive(clap::Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it; it is shown this once.
    #[command(after_help = "Example: ray token create --role node --ttl 1h --uses 8")]
    Create(CreateOptions),
    /// Show the tokens, without their secrets.
    List(ListOptions),
    /// Make a token worthless, and send everybody away who joined with it.
    Revoke(RevokeOptions),
}

/// The options of `ray token create`.
#[derive(clap::Args)]
pub struct CreateOptions {
    /// What it allows: viewer looks, driver runs programs, node adds a machine, admin does everything.
    #[arg(long, default_value = "node")]
    role: Role,
    /// How long it is good: 90s, 15m, 8h, 7d or never.
    #[arg(long, default_value = "15m", value_parser = ttl)]
    ttl: Ttl,
    /// How many processes may join with it; 0 for any number.
    #[arg(long, default_value_t = 1, value_name = "N")]
    uses: u32,
    #[command(flatten)]
    connect: Connect,
}

/// The options of `ray token list`.
#[derive(clap::Args)]
pub struct ListOptions {
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    connect: Connect,
}

/// The options of `ray token revoke`.
#[derive(clap::Args)]
pub struct RevokeOptions {
    /// The token's id, as `ray token list` shows it.
    #[arg(value_parser = crate::options::text)]
    token_id: String,
    #[command(flatten)]
    connect: Connect,
}

/// How long a token is good; `None` for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ttl(Option<u64>);

fn ttl(text: &str) -> Result<Ttl, String> {
    if text == "never" {
        return Ok(Ttl(None));
    }
    match crate::options::span(text) {
        Ok(seconds) => Ok(Ttl(Some(seconds))),
        Err(wrong) => Err(format!("{wrong} or never")),
    }
}

/// Runs `ray token`.
///
/// # Errors
/// What the head refused, or why it cannot be reached.
pub fn run(command: &TokenCommand) -> Result<(), Failed> {
    match command {
        TokenCommand::Create(options) => create(options),
        TokenCommand::List(options) => list(options),
        TokenCommand::Revoke(options) => {
            options.connect.client()?.command(Command::RevokeToken {
                token_id: options.token_id.clone(),
            })?;
            say(format_args!("token {} is worthless now", options.token_id));
            Ok(())
        }
    }
}

fn create(options: &CreateOptions) -> Result<(), Failed> {
    let client = options.connect.client()?;
    let answer = client.command(Command::CreateToken {
        role: options.role,
        ttl_s: options.ttl.0,
        uses: (options.uses > 0).then_some(options.uses),
    })?;
    let Answer::Token(text) = answer else {
        return Err(crate::OTHER_ANSWER.into());
    };
    // The token alone on standard output, for `RAY_TOKEN=$(ray token create ...)`.
    print([text])?;
    let address = client.address();
    match options.role {
        Role::Node => note(format_args!(
            "add a machine: RAY_TOKEN=<token> ray start --address {address}"
        )),
        _ => note(format_args!(
            "use it: RAY_ADDRESS={address} RAY_TOKEN=<token> <command>"
        )),
    }
    Ok(())
}

fn list(options: &ListOptions) -> Result<(), Failed> {
    let answer = options.connect.client()?.command(Command::ListTokens)?;
    let Answer::Tokens(tokens) = answer else {
        return Err(crate::OTHER_ANSWER.into());
    };
    if options.format == Format::Json {
        let objects: Result<Vec<String>, _> = tokens.iter().map(serde_json::to_string).collect();
        return Ok(print(objects?)?);
    }
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|token| {
            let left = token.expires_s.map(|at| at.saturating_sub(now));
            vec![
                token.token_id.clone(),
                token.role.to_string(),
                token.state.clone(),
                left.map_or("for ever".into(), span),
                token
                    .uses_left
                    .map_or("any number".into(), |left| left.to_string()),
            ]
        })
        .collect();
    print(lines(
        &["token_id", "role", "state", "time_left", "uses_left"],
        &rows,
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_has_a_unit() {
        assert_eq!(ttl("90s"), Ok(Ttl(Some(90))));
        assert_eq!(ttl("15m"), Ok(Ttl(Some(900))));
        assert_eq!(ttl("7d"), Ok(Ttl(Some(604_800))));
        assert_eq!(ttl("never"), Ok(Ttl(None)));
        for text in [
            "",
            "15",
            "m",
            "-1s",
            "0s",
            "1w",
            "1.5h",
            "99999999999999999d",
            "1é",
        ] {
            assert!(ttl(text).is_err(), "{text}");
        }
    }
}
