resource "google_billing_budget" "project" {
  count = var.budget == null ? 0 : 1

  billing_account = var.budget.billing_account
  display_name    = "${var.name} in ${var.project_id}"

  # The whole project: logs, builds and storage carry no label of the service.
  budget_filter {
    projects               = ["projects/${data.google_project.this.number}"]
    calendar_period        = "MONTH"
    credit_types_treatment = "INCLUDE_ALL_CREDITS"
  }

  amount {
    specified_amount {
      currency_code = var.budget.currency
      units         = tostring(var.budget.amount)
    }
  }

  dynamic "threshold_rules" {
    for_each = sort([for share in var.budget.thresholds : tostring(share)])
    content {
      threshold_percent = tonumber(threshold_rules.value)
      spend_basis       = "CURRENT_SPEND"
    }
  }

  threshold_rules {
    threshold_percent = 1
    spend_basis       = "FORECASTED_SPEND"
  }

  # The billing account's administrators are written to as well.
  dynamic "all_updates_rule" {
    for_each = length(local.notification_channels) == 0 ? [] : ["channels"]
    content {
      monitoring_notification_channels = local.notification_channels
      disable_default_iam_recipients   = false
    }
  }

  depends_on = [google_project_service.api]
}
