//! Addresses for nodes and pods: by their names and UIDs, so that none has to be remembered.

/// Of a node.
pub(super) fn of_node(name: &str) -> String {
    let [.., a, b] = digest(name);
    format!("172.18.{a}.{}", b.clamp(1, 254))
}

/// Of a pod.
pub(super) fn of_pod(uid: &str) -> String {
    let [.., a, b, c] = digest(uid);
    format!("10.{}.{b}.{}", 128 + a % 128, c.clamp(1, 254))
}

fn digest(text: &str) -> [u8; 8] {
    // FNV-1a, folded so that short names differ in every byte.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 32)).to_be_bytes()
}
