# Guards that what is watched is what the function and Cloud Run tell, that an alert can fire, and that
# watching does not keep the service awake.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project_id   = "my-project"
  region       = "europe-west1"
  alert_emails = ["team@example.com"]
  monitoring   = {}
}

# Regression: a metric of a field that the function does not log.
run "phases_of_a_cold_start" {
  command = plan

  assert {
    condition     = keys(google_logging_metric.cold_start_ms) == ["check", "first", "imports", "process", "read", "session", "total"]
    error_message = "Each phase that the function logs has its metric."
  }

  assert {
    condition     = google_logging_metric.cold_start_ms["session"].value_extractor == "EXTRACT(jsonPayload.cold_start_ms.session)" && strcontains(google_logging_metric.cold_start_ms["session"].filter, "jsonPayload.message=\"cold start\"")
    error_message = "A phase is read from the record \"cold start\"."
  }

  assert {
    condition     = alltrue([for metric in google_logging_metric.count : strcontains(metric.filter, "resource.labels.service_name=\"zeropoint\"")]) && keys(google_logging_metric.count) == ["cold_starts", "predictions", "refusals", "refused_events"]
    error_message = "Counters must be of this service."
  }
}

# Bill: a label with as many values as there are calls. Each is a series of its own.
run "few_series" {
  command = plan

  assert {
    condition     = google_logging_metric.count["predictions"].label_extractors == tomap({ route = "REGEXP_EXTRACT(httpRequest.requestUrl, \"^https?://[^/]+(/[a-z0-9]*)\")" })
    error_message = "The route must be the first part of a path, not the path."
  }
}

# Regression: an objective that counts cold starts as slow answers, or none at all.
run "objectives" {
  command = plan

  assert {
    condition     = google_monitoring_slo.availability[0].goal == 0.99 && strcontains(google_monitoring_slo.availability[0].request_based_sli[0].good_total_ratio[0].bad_service_filter, "response_code_class=\"5xx\"")
    error_message = "Availability is the share of requests without a server error."
  }

  assert {
    condition     = strcontains(google_monitoring_slo.duration["latency"].request_based_sli[0].distribution_cut[0].distribution_filter, "run.googleapis.com/request_latencies") && google_monitoring_slo.duration["latency"].request_based_sli[0].distribution_cut[0].range[0].max == 1000
    error_message = "Latency is measured at a started container."
  }

  assert {
    condition     = strcontains(google_monitoring_slo.duration["cold-start"].request_based_sli[0].distribution_cut[0].distribution_filter, "run.googleapis.com/container/startup_latencies")
    error_message = "A cold start is measured by Cloud Run."
  }

  assert {
    condition     = google_monitoring_service.function[0].basic_service[0].service_type == "CLOUD_RUN" && google_monitoring_service.function[0].basic_service[0].service_labels == tomap({ location = "europe-west1", service_name = "zeropoint" })
    error_message = "Objectives belong to the Cloud Run service."
  }
}

# Regression: an alert that cannot fire, or that nobody hears.
run "burn_rates" {
  assert {
    condition     = keys(google_monitoring_alert_policy.burn) == ["availability-fast", "availability-slow", "cold-start-fast", "cold-start-slow", "latency-fast", "latency-slow"]
    error_message = "Each objective needs a fast and a slow alert."
  }

  assert {
    condition     = [for condition in google_monitoring_alert_policy.burn["latency-fast"].conditions : condition.condition_threshold[0].filter] == ["select_slo_burn_rate(\"${google_monitoring_slo.duration["latency"].id}\", \"3600s\")", "select_slo_burn_rate(\"${google_monitoring_slo.duration["latency"].id}\", \"300s\")"] && google_monitoring_alert_policy.burn["latency-fast"].combiner == "AND"
    error_message = "An alert needs a long window and a short one."
  }

  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.burn : length(policy.notification_channels) == 1])
    error_message = "Somebody must hear it."
  }
}

# Regression: somebody is woken by the one failure of a quiet night.
run "quiet_where_calls_are_few" {
  command = plan

  variables {
    monitoring = { min_requests = 20 }
  }

  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.burn : policy.conditions[2].condition_threshold[0].threshold_value == 20 && policy.combiner == "AND"])
    error_message = "Each burn-rate alert must also want enough requests."
  }
}

# Regression: a dashboard that the API refuses: a tile outside the 48 columns, or on another.
run "dashboard" {
  assert {
    condition     = alltrue([for tile in jsondecode(google_monitoring_dashboard.function[0].dashboard_json).mosaicLayout.tiles : tile.xPos + tile.width <= 48])
    error_message = "Tiles must be within the columns."
  }

  assert {
    condition     = length(distinct([for tile in jsondecode(google_monitoring_dashboard.function[0].dashboard_json).mosaicLayout.tiles : "${tile.xPos} ${tile.yPos}"])) == length(jsondecode(google_monitoring_dashboard.function[0].dashboard_json).mosaicLayout.tiles)
    error_message = "Each tile needs its own place."
  }

  assert {
    condition     = length(jsondecode(google_monitoring_dashboard.function[0].dashboard_json).mosaicLayout.tiles) <= 40
    error_message = "A dashboard holds at most 40 widgets that are still to be read."
  }
}

# Regression: alerts that nobody hears.
run "alerts_without_anybody" {
  command = plan

  variables {
    alert_emails = []
  }

  expect_failures = [check.alerts_reach_somebody]
}
