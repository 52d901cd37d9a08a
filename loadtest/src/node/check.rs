//! What would keep a run from the node, told before it starts.
use anyhow::{bail, ensure};
use tonic::Code;

use super::NodeApi;
use super::api::{Node, refused};
use crate::scenario::Scenario;

/// A track's label at the node has 64 characters at most; beside the group's name it holds numbers.
const LONGEST_NAME: usize = 32;

/// Checks the node, its token, and that the scenario's names fit.
///
/// # Errors
/// The first thing that is wrong, and what to do.
pub(crate) async fn check(api: &NodeApi, scenario: &Scenario) -> anyhow::Result<()> {
    let url = &api.node;
    names(scenario)?;
    if url.starts_with("https:") {
        bail!(
            "{url}: the load speaks to the node in plain text; give its own address, e.g. http://10.0.0.5:7883"
        );
    }
    let node = Node::connect(api, 0).await?;
    match node.get_node().await {
        Ok(node) if node.draining => {
            bail!("the node at {url} drains: it takes no new rooms; load another, or start it anew")
        }
        Ok(_) => Ok(()),
        Err(status) if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) => bail!(
            "{url} refuses the token: {}\ngive the node's own with --node-token or as SLUICE_SFU_TOKEN; `sluice dev` draws a \
             random one, unless SLUICE_DEV_GRPC_TOKEN chooses it",
            status.message()
        ),
        // gRPC of another kind, or no gRPC at all.
        Err(status) if matches!(status.code(), Code::Unimplemented | Code::Unknown) => bail!(
            "{url} knows no sluice.sfu.v1, so this is no node ({}): is it the port of clients, or of the calls API?",
            status.message()
        ),
        Err(status) => Err(refused(url, &status)),
    }
}

fn names(scenario: &Scenario) -> anyhow::Result<()> {
    for group in &scenario.groups {
        ensure!(
            group.name.len() <= LONGEST_NAME,
            "group `{}`: with --driver node its name may have {LONGEST_NAME} characters, as the node's labels are short",
            group.name
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_must_fit_into_labels() {
        let scenario = |name: &str| {
            let text = format!("duration = \"2s\"\n[[groups]]\nname = \"{name}\"\ncount = 1\n");
            Scenario::parse(&text).unwrap()
        };
        assert!(names(&scenario(&"a".repeat(32))).is_ok());
        assert!(names(&scenario(&"a".repeat(33))).unwrap_err().to_string().contains("--driver node"));
    }
}
