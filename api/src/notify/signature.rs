//! The Standard Webhooks scheme: <https://www.standardwebhooks.com>.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;

use super::secret::Secrets;

/// The headers that say which message this is, when it was sent, and that whoever knows a secret has sent it.
pub(super) fn headers(secrets: &Secrets, id: &str, timestamp: i64, body: &str) -> [(&'static str, String); 3] {
    let signed = format!("{id}.{timestamp}.{body}");
    let signatures = secrets.keys().map(|key| {
        let signature = hmac::sign(key, signed.as_bytes());
        format!("v1,{}", STANDARD.encode(signature))
    });
    let signatures: Vec<_> = signatures.collect();
    [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_signs_as_the_schemes_own_example_says() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secrets = Secrets::parse(&format!("{secret}\n{secret}")).unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let [_, (_, timestamp), (_, signature)] = headers(&secrets, id, 1_614_265_330, r#"{"test": 2432232314}"#);
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!((timestamp.as_str(), signature), ("1614265330", format!("{expected} {expected}")));
    }
}
