resource "google_monitoring_notification_channel" "email" {
  for_each = var.alert_emails

  project      = var.project_id
  display_name = "${var.name}: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }
  user_labels  = local.labels
  depends_on   = [google_project_service.api]
}

check "alerts_reach_somebody" {
  assert {
    condition     = (var.monitoring == null && var.events == null) || length(var.alert_emails) + length(var.notification_channels) > 0
    error_message = "Nobody hears the alerts: name alert_emails or notification_channels."
  }
}
