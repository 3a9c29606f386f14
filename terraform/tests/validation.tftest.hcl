# Each rule of variables.tf refuses what it is there for: what the API would refuse half way through an
# apply, or what nobody would notice before the bill. A run breaks one rule of several variables, as
# each takes a plan; the comment says how.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project_id = "my-project"
  region     = "europe-west1"
}

run "refused_01" {
  command = plan

  variables {
    # batch of half a processor
    batch = { cpu = 0.5 }
    # dataset with a hyphen
    bigquery = { dataset_id = "my-dataset" }
    # budget of a name
    budget = { billing_account = "My Billing Account", amount = 50 }
    # repository in another region
    build = { repository = "projects/p/locations/us-central1/connections/c/repositories/r" }
    # label in upper case
    labels = { Team = "Vision" }
    # models by their url
    models = { bucket = "gs://my-models" }
    # goal of all
    monitoring = { availability_goal = 1 }
    # name too long for an account
    name = "a-name-of-more-than-twenty"
    # project by its number
    project_id = "123456789012"
    # half a processor
    service = { cpu = 0.5 }
  }

  expect_failures = [var.batch, var.bigquery, var.budget, var.build, var.labels, var.models, var.monitoring, var.name, var.project_id, var.service]
}

run "refused_02" {
  command = plan

  variables {
    # batch with too little memory
    batch = { cpu = 4, memory_mib = 1024 }
    # dataset where the service is not
    bigquery = { location = "US" }
    # budget of nothing
    budget = { billing_account = "012345-6789AB-CDEF01", amount = 0 }
    # repository by its url
    build = { repository = "https://github.com/me/zeropoint" }
    # models below a slash
    models = { bucket = "my-models", prefix = "/vision" }
    # alert that can never fire
    monitoring = { cold_start_goal = 0.9 }
    # name in upper case
    name = "Zeropoint"
    # too little memory for the processors
    service = { cpu = 8, memory_mib = 2048 }
  }

  expect_failures = [var.batch, var.bigquery, var.budget, var.build, var.models, var.monitoring, var.name, var.service]
}

run "refused_03" {
  command = plan

  variables {
    # batch with more at once than tasks
    batch = { tasks = 2, parallelism = 3 }
    # dataset in another region
    bigquery = { location = "europe-west4" }
    # budget of cents
    budget = { billing_account = "012345-6789AB-CDEF01", amount = 9.99 }
    # branch as an expression
    build = { branch = "^main$" }
    # slow burn above the fast
    monitoring = { slow_burn_rate = 20 }
    # too much memory for the processors
    service = { cpu = 1, memory_mib = 8192 }
  }

  expect_failures = [var.batch, var.bigquery, var.budget, var.build, var.monitoring, var.service]
}

run "refused_04" {
  command = plan

  variables {
    # batch that retries for ever
    batch = { max_retries = 11 }
    # routine with a hyphen
    bigquery = { routines = { my-model = {} } }
    # budget that tells nobody before
    budget = { billing_account = "012345-6789AB-CDEF01", amount = 50, thresholds = [] }
    # substitution without an underscore
    build = { substitutions = { MODELS = "phishing" } }
    # answer in no time
    monitoring = { latency_ms = 0 }
    # gpu of another kind
    service = { cpu = 4, memory_mib = 16384, gpu = { type = "nvidia-a100-80gb" } }
  }

  expect_failures = [var.batch, var.bigquery, var.budget, var.build, var.monitoring, var.service]
}

run "refused_05" {
  command = plan

  variables {
    # batch of more than a week
    batch = { timeout_s = 604801 }
    # routine of arrays
    bigquery = { routines = { rows = { arguments = [{ name = "row", type = "ARRAY" }] } } }
    # budget with six channels
    alert_emails = ["a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com", "f@example.com"]
    budget       = { billing_account = "012345-6789AB-CDEF01", amount = 50 }
    # nothing to roll back to
    build = { keep_images = 1 }
    # objective of a quarter
    monitoring = { rolling_days = 90 }
    # gpu with too few processors
    service = { cpu = 2, memory_mib = 8192, gpu = {} }
  }

  expect_failures = [var.batch, var.bigquery, var.budget, var.build, var.monitoring, var.service]
}

run "refused_06" {
  command = plan

  variables {
    # batch by a cron of four fields
    batch = { schedule = { cron = "0 3 * *" } }
    # routine with broken parameters
    bigquery = { routines = { classify = { parameters = "top_k=3" } } }
    # fewer than no requests
    monitoring = { min_requests = -1 }
    # more instances at least than at most
    service = { min_instances = 5, max_instances = 2 }
  }

  expect_failures = [var.batch, var.bigquery, var.monitoring, var.service]
}

run "refused_07" {
  command = plan

  variables {
    # batch that serves until its timeout
    batch = { args = [] }
    # routine without arguments
    bigquery = { routines = { classify = { arguments = [] } } }
    # no request at a time
    service = { concurrency = 0 }
  }

  expect_failures = [var.batch, var.bigquery, var.service]
}

run "refused_08" {
  command = plan

  variables {
    # routine with too many rows
    bigquery = { routines = { classify = { max_batching_rows = 5000 } } }
    # timeout beyond an hour
    service = { timeout_s = 3601 }
  }

  expect_failures = [var.bigquery, var.service]
}

run "refused_09" {
  command = plan

  variables {
    # start that takes too long
    service = { startup_timeout_s = 300 }
  }

  expect_failures = [var.service]
}

run "refused_10" {
  command = plan

  variables {
    # variable with a hyphen
    service = { env = { "MY-KEY" = "x" } }
  }

  expect_failures = [var.service]
}

run "refused_11" {
  command = plan

  variables {
    # an address without a host
    alert_emails = ["team"]
    # variable that this module sets
    service = { env = { ZEROPOINT_CPUS = "8" } }
  }

  expect_failures = [var.alert_emails, var.service]
}

run "refused_12" {
  command = plan

  variables {
    # channel by its number
    notification_channels = ["123"]
    # secret that moves
    service = { secrets = { KEY = { secret = "key", version = "latest" } } }
  }

  expect_failures = [var.notification_channels, var.service]
}

run "refused_13" {
  command = plan

  variables {
    # zone for a region
    region = "europe-west1-b"
    # invokers of what is public
    service = { public = true, invokers = ["group:vision@example.com"] }
  }

  expect_failures = [var.region, var.service]
}

run "refused_14" {
  command = plan

  variables {
    # everybody as an invoker
    service = { invokers = ["allUsers"] }
  }

  expect_failures = [var.service]
}

run "refused_15" {
  command = plan

  variables {
    # multi region for a region
    region = "EU"
    # ingress of another kind
    service = { ingress = "all" }
  }

  expect_failures = [var.region, var.service]
}

run "refused_16" {
  command = plan

  variables {
    # delivery of another kind
    events = { delivery = "kafka" }
  }

  expect_failures = [var.events]
}

run "refused_17" {
  command = plan

  variables {
    # prefix with eventarc
    events = { delivery = "eventarc", object_prefix = "photos/" }
  }

  expect_failures = [var.events]
}

run "refused_18" {
  command = plan

  variables {
    # deadline longer than there is
    events = { ack_deadline_s = 601 }
  }

  expect_failures = [var.events]
}

run "refused_19" {
  command = plan

  variables {
    # deadline below the timeout
    service = { timeout_s = 120 }
    events  = { ack_deadline_s = 60 }
  }

  expect_failures = [var.events]
}

run "refused_20" {
  command = plan

  variables {
    # timeout longer than a push
    service = { timeout_s = 900 }
    events  = {}
  }

  expect_failures = [var.events]
}

run "refused_21" {
  command = plan

  variables {
    # backoff upside down
    events = { min_backoff_s = 300, max_backoff_s = 60 }
  }

  expect_failures = [var.events]
}

run "refused_22" {
  command = plan

  variables {
    # too few deliveries
    events = { max_delivery_attempts = 1 }
  }

  expect_failures = [var.events]
}

run "refused_23" {
  command = plan

  variables {
    # messages that are kept too short
    events = { max_age_s = 60 }
  }

  expect_failures = [var.events]
}

run "refused_24" {
  command = plan

  variables {
    # results that are deleted at once
    events = { result_days = 0 }
  }

  expect_failures = [var.events]
}
