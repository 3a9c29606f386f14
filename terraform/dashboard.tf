# Metrics that Cloud Run keeps itself, the counters of monitoring.tf, and the phases of a cold start.

locals {
  dashboard_charts = var.monitoring == null ? [] : concat(
    [
      { title = "Requests by class of status", metric = "run.googleapis.com/request_count", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.label.response_code_class"], unit = "1/s" },
      { title = "Latency at a started container, 95th percentile", metric = "run.googleapis.com/request_latencies", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", by = ["resource.label.revision_name"], unit = "ms" },
      { title = "Cold start until ready, 95th percentile", metric = "run.googleapis.com/container/startup_latencies", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", by = ["resource.label.revision_name"], unit = "ms" },
      { title = "Instances by state", metric = "run.googleapis.com/container/instance_count", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", by = ["metric.label.state"], unit = "1" },
      { title = "Billed time of instances", metric = "run.googleapis.com/container/billable_instance_time", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = [], unit = "s/s" },
      { title = "Requests at one instance, 95th percentile", metric = "run.googleapis.com/container/max_request_concurrencies", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", by = [], unit = "1" },
      { title = "Memory in use, 95th percentile", metric = "run.googleapis.com/container/memory/utilizations", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", by = [], unit = "1" },
      { title = "Processors in use, 95th percentile", metric = "run.googleapis.com/container/cpu/utilizations", aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", by = [], unit = "1" },
    ],
    [for name, counter in local.counters :
      { title = counter.description, metric = "logging.googleapis.com/user/${google_logging_metric.count[name].name}", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["metric.label.${counter.label}"], unit = "1/s" }
    ],
  )

  dashboard_phases = { for phase, metric in google_logging_metric.cold_start_ms : phase => metric.name if phase != "total" }

  # Two to a row of 48 columns.
  dashboard_widgets = concat(
    [for chart in local.dashboard_charts : {
      title = chart.title
      xyChart = {
        dataSets = [{
          plotType   = "LINE"
          targetAxis = "Y1"
          timeSeriesQuery = {
            unitOverride = chart.unit
            timeSeriesFilter = {
              filter = "metric.type=\"${chart.metric}\" AND ${local.this_service}"
              aggregation = {
                alignmentPeriod    = "60s"
                perSeriesAligner   = chart.aligner
                crossSeriesReducer = chart.reducer
                groupByFields      = chart.by
              }
            }
          }
        }]
      }
    }],
    [{
      title = "Phases of a cold start, median"
      xyChart = {
        dataSets = [for phase, name in local.dashboard_phases : {
          plotType       = "STACKED_BAR"
          targetAxis     = "Y1"
          legendTemplate = phase
          timeSeriesQuery = {
            unitOverride = "ms"
            timeSeriesFilter = {
              filter = "metric.type=\"logging.googleapis.com/user/${name}\" AND ${local.this_service}"
              aggregation = {
                alignmentPeriod    = "60s"
                perSeriesAligner   = "ALIGN_DELTA"
                crossSeriesReducer = "REDUCE_PERCENTILE_50"
                groupByFields      = []
              }
            }
          }
        }]
      }
    }],
    local.push ? [{
      title = "Uploads that wait, and dead letters"
      xyChart = {
        dataSets = [for subscription in [google_pubsub_subscription.push[0].name, google_pubsub_subscription.dead_letters[0].name] : {
          plotType       = "LINE"
          targetAxis     = "Y1"
          legendTemplate = subscription
          timeSeriesQuery = {
            unitOverride = "1"
            timeSeriesFilter = {
              filter = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${subscription}\""
              aggregation = {
                alignmentPeriod    = "60s"
                perSeriesAligner   = "ALIGN_MAX"
                crossSeriesReducer = "REDUCE_SUM"
                groupByFields      = []
              }
            }
          }
        }]
      }
    }] : [],
  )
}

resource "google_monitoring_dashboard" "function" {
  count = var.monitoring == null ? 0 : 1

  project = var.project_id

  dashboard_json = jsonencode({
    displayName = var.name
    mosaicLayout = {
      columns = 48
      tiles = [for index, widget in local.dashboard_widgets : {
        xPos   = index % 2 * 24
        yPos   = floor(index / 2) * 16
        width  = 24
        height = 16
        widget = widget
      }]
    }
  })

  depends_on = [google_project_service.api]
}
