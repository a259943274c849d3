//! Control-plane nodes: not one more than the quorum can spare.

use careen_tests::case::Case;
use serde_json::json;

/// The only case with control-plane nodes: quorum is the whole cluster's.
pub async fn quorum_decides_whether_a_control_plane_node_may_go(case: Case) {
    let control_plane = json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}});
    let a = case.node_with("a", control_plane.clone()).await;
    let before = case.look_of(&a).await;
    let name = case.maintain(&a).await;
    assert_eq!(case.refused(&name).await.reason, "QuorumLost");
    case.stays_untouched(&a, &before).await;

    let b = case.node_with("b", control_plane.clone()).await;
    case.node_with("c", control_plane).await;
    // A refusal is final for that spec: nothing starts because a third one came.
    case.stays_untouched(&a, &before).await;
    case.delete_maintenance(&name).await;
    let name = case.maintain(&a).await;
    case.drained(&name).await;

    let other_before = case.look_of(&b).await;
    let other = case.maintain(&b).await;
    assert_eq!(case.refused(&other).await.reason, "QuorumLost");
    case.stays_untouched(&b, &other_before).await;
    case.delete_maintenance(&name).await;
    case.looks_again(&a, &before).await;
}
