//! What is told: a CloudEvent (1.0), in structured JSON.

use careen_core::{
    controller::CallBack,
    model::NoticeEvent,
    view::{MaintenanceView, ReportView},
};
use jiff::Timestamp;
use serde::Serialize;

/// The media type of a CloudEvent.
pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json";

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: &'static str,
    /// The node.
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    event: NoticeEvent,
    reason: &'a str,
    message: &'a str,
    /// As `GET /api/v1/maintenances/{name}` shows it.
    maintenance: &'a MaintenanceView,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a ReportView>,
}

/// The body of a call-back.
pub(super) fn body(call_back: &CallBack) -> Result<String, serde_json::Error> {
    let CallBack { id, notice, maintenance, report } = call_back;
    serde_json::to_string(&CloudEvent {
        specversion: "1.0",
        id,
        source: format!("/apis/nodemaintenance.kubevirt.io/v1beta1/nodemaintenances/{}", maintenance.name),
        r#type: type_of(notice.event),
        subject: &maintenance.node,
        time: notice.time,
        datacontenttype: "application/json",
        data: Data {
            event: notice.event,
            reason: &notice.reason,
            message: &notice.message,
            maintenance,
            report: report.as_ref(),
        },
    })
}

fn type_of(event: NoticeEvent) -> &'static str {
    match event {
        NoticeEvent::Accepted => "dev.careen.maintenance.accepted",
        NoticeEvent::Drained => "dev.careen.maintenance.drained",
        NoticeEvent::Stuck => "dev.careen.maintenance.stuck",
        NoticeEvent::Failed => "dev.careen.maintenance.failed",
        NoticeEvent::Ended => "dev.careen.maintenance.ended",
    }
}
