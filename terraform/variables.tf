# In the order of the alphabet. Each concern is one object: null leaves it out, {} takes its defaults.

variable "alert_emails" {
  description = "Addresses that alerts and the budget write to."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@[:space:]]+@[^@[:space:]]+$", email))])
    error_message = "alert_emails takes e-mail addresses, such as team@example.com."
  }
}

variable "batch" {
  description = "Cloud Run job on the image of the service, for work that outgrows requests. The pipeline owns its image; `image` only starts it. It reads and writes the buckets of `events` and those named here; `schedule` runs it by cron."
  type = object({
    image         = optional(string, "us-docker.pkg.dev/cloudrun/container/job")
    args          = optional(list(string), ["batch"])
    cpu           = optional(number, 2)
    memory_mib    = optional(number, 2048)
    tasks         = optional(number, 1)
    parallelism   = optional(number, 1)
    max_retries   = optional(number, 3)
    timeout_s     = optional(number, 3600)
    read_buckets  = optional(set(string), [])
    write_buckets = optional(set(string), [])
    schedule = optional(object({
      cron      = string
      time_zone = optional(string, "Etc/UTC")
    }))
  })
  default = null

  validation {
    condition     = try(length(var.batch.args) > 0, true)
    error_message = "batch.args must name what the image is to do, such as [\"batch\"]: without arguments it serves, and is billed, until batch.timeout_s."
  }

  validation {
    condition     = var.batch == null || contains([1, 2, 4, 6, 8], try(var.batch.cpu, 0))
    error_message = "batch.cpu must be 1, 2, 4, 6 or 8: other numbers of processors are not sold."
  }

  validation {
    # What Cloud Run sells of memory for each number of processors.
    condition = try(
      var.batch.memory_mib >= { "1" = 512, "2" = 512, "4" = 2048, "6" = 4096, "8" = 4096 }[tostring(var.batch.cpu)] &&
      var.batch.memory_mib <= { "1" = 4096, "2" = 8192, "4" = 16384, "6" = 24576, "8" = 32768 }[tostring(var.batch.cpu)],
      true # another number of processors is refused above
    )
    error_message = "batch.memory_mib does not go with batch.cpu: 512 to 4096 with 1, 512 to 8192 with 2, 2048 to 16384 with 4, 4096 to 24576 with 6, 4096 to 32768 with 8."
  }

  validation {
    condition     = try(var.batch.tasks >= 1 && var.batch.tasks <= 10000 && var.batch.parallelism >= 1 && var.batch.parallelism <= var.batch.tasks, true)
    error_message = "batch.tasks must be 1 to 10000, and batch.parallelism 1 to batch.tasks."
  }

  validation {
    condition     = try(var.batch.max_retries >= 0 && var.batch.max_retries <= 10, true)
    error_message = "batch.max_retries must be 0 to 10: each retry of a task is billed as the first run was."
  }

  validation {
    condition     = try(var.batch.timeout_s >= 1 && var.batch.timeout_s <= 604800, true)
    error_message = "batch.timeout_s must be 1 to 604800 (seven days)."
  }

  validation {
    condition     = try(length(split(" ", var.batch.schedule.cron)) == 5, true)
    error_message = "batch.schedule.cron must have five fields with single spaces between, such as \"0 3 * * *\"."
  }
}

variable "bigquery" {
  description = "Dataset, connection and one remote function for each entry of `routines`, by its name. `model` empty is the default model; `parameters` are those of the model's task, as JSON text; a type is BigQuery's, but ARRAY and STRUCT. `location` empty is `region`; a multi-region must hold `region`."
  type = object({
    dataset_id = optional(string, "zeropoint")
    location   = optional(string)
    routines = optional(map(object({
      model             = optional(string, "")
      parameters        = optional(string, "")
      arguments         = optional(list(object({ name = string, type = string })), [{ name = "instance", type = "STRING" }])
      max_batching_rows = optional(number, 32)
    })), { predict = {} })
  })
  default = null

  validation {
    condition     = var.bigquery == null || can(regex("^[A-Za-z0-9_]+$", var.bigquery.dataset_id))
    error_message = "bigquery.dataset_id must be letters, digits and underscores: a hyphen is not allowed."
  }

  validation {
    condition = try(
      var.bigquery.location == null ||
      lower(var.bigquery.location) == var.region ||
      upper(var.bigquery.location) == (startswith(var.region, "us-") ? "US" : startswith(var.region, "europe-") ? "EU" : ""),
      true
    )
    error_message = "bigquery.location must be region, or the multi-region US or EU that holds it: BigQuery calls a service in its own location only."
  }

  validation {
    condition     = try(alltrue([for name, _ in var.bigquery.routines : can(regex("^[A-Za-z_][A-Za-z0-9_]{0,255}$", name))]), true)
    error_message = "The keys of bigquery.routines are names of SQL functions: letters, digits and underscores, no digit first."
  }

  validation {
    condition = try(alltrue(flatten([for routine in var.bigquery.routines : [for argument in routine.arguments :
      contains(["BIGNUMERIC", "BOOL", "BYTES", "DATE", "DATETIME", "FLOAT64", "INT64", "JSON", "NUMERIC", "STRING", "TIME", "TIMESTAMP"], argument.type)
    ]])), true)
    error_message = "The type of an argument must be a scalar of BigQuery or JSON: remote functions take no ARRAY, STRUCT or GEOGRAPHY. Pass such a value as JSON."
  }

  validation {
    condition     = try(alltrue([for routine in var.bigquery.routines : routine.parameters == "" || can(keys(jsondecode(routine.parameters)))]), true)
    error_message = "The parameters of a routine are a JSON object as text, such as jsonencode({ top_k = 3 })."
  }

  validation {
    condition     = try(alltrue([for routine in var.bigquery.routines : length(routine.arguments) > 0]), true)
    error_message = "A routine needs at least one argument: what the model is to answer."
  }

  validation {
    condition     = try(alltrue([for routine in var.bigquery.routines : routine.max_batching_rows >= 1 && routine.max_batching_rows <= 1024]), true)
    error_message = "max_batching_rows must be 1 to 1024, the most instances that one request may hold (ZEROPOINT_MAX_INSTANCES)."
  }
}

variable "budget" {
  description = "Monthly budget of the whole project, with mails at shares of it (`thresholds`) and when the month's forecast passes the whole. A budget tells; it stops nothing. `currency` empty is the billing account's."
  type = object({
    billing_account = string
    amount          = number
    currency        = optional(string)
    thresholds      = optional(set(number), [0.5, 0.9, 1])
  })
  default = null

  validation {
    condition     = var.budget == null || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.budget.billing_account))
    error_message = "budget.billing_account must be an id such as 012345-6789AB-CDEF01 (gcloud billing accounts list)."
  }

  validation {
    condition     = try(var.budget.amount >= 1 && floor(var.budget.amount) == var.budget.amount, true)
    error_message = "budget.amount must be a whole number of the currency's units, 1 or more."
  }

  validation {
    condition     = try(length(var.budget.thresholds) > 0 && alltrue([for share in var.budget.thresholds : share > 0 && share <= 10]), true)
    error_message = "budget.thresholds are shares of the amount, such as 0.5 for a half: at least one, each above 0."
  }

  validation {
    condition     = var.budget == null || length(var.alert_emails) + length(var.notification_channels) <= 5
    error_message = "A budget writes to at most 5 channels: shorten alert_emails and notification_channels together, or name a group's address."
  }
}

variable "build" {
  description = "Artifact Registry repository and the account that builds and deploys. `repository`, a Cloud Build repository (projects/P/locations/REGION/connections/C/repositories/R), adds two triggers: a push to `branch` builds, and a build releases, which `approval` makes wait for somebody's yes. `substitutions` are further ones of cloudbuild.yaml."
  type = object({
    repository    = optional(string)
    branch        = optional(string, "main")
    approval      = optional(bool, false)
    substitutions = optional(map(string), {})
    keep_images   = optional(number, 20)
    untagged_days = optional(number, 30)
  })
  default = null

  validation {
    condition     = try(var.build.repository == null || can(regex("^projects/[^/]+/locations/${var.region}/connections/[^/]+/repositories/[^/]+$", var.build.repository)), true)
    error_message = "build.repository must be projects/P/locations/REGION/connections/C/repositories/R, with REGION the same as region."
  }

  validation {
    condition     = var.build == null || can(regex("^[A-Za-z0-9][A-Za-z0-9._/-]*$", var.build.branch))
    error_message = "build.branch must be the name of one branch, such as main: no regular expression, and without refs/heads/."
  }

  validation {
    condition     = try(alltrue([for name, _ in var.build.substitutions : can(regex("^_[A-Z0-9_]+$", name))]), true)
    error_message = "The keys of build.substitutions begin with an underscore and are upper case, such as _MODELS."
  }

  validation {
    condition     = try(var.build.keep_images >= 5 && var.build.untagged_days >= 1, true)
    error_message = "build.keep_images must be 5 or more, so that there is something to roll back to, and build.untagged_days 1 or more."
  }
}

variable "deletion_protection" {
  description = "Refuse to destroy or replace the service and the job, and keep buckets and datasets that hold something. To destroy: set false, apply, then destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "enable_apis" {
  description = "Enable the APIs that the chosen concerns need. They stay enabled when this is destroyed. False where others own them."
  type        = bool
  default     = true
  nullable    = false
}

variable "events" {
  description = "Buckets for uploads and results, and how an upload reaches the service. `delivery` \"pubsub\" is a storage notification into our own push subscription: its retries, deadline, dead letters and grants are ours. \"eventarc\" is CloudEvents with less to own: a day of retries, no dead letters, and publisher on the whole project for the storage agent. Upload nothing before the first release: Google's sample image acknowledges an event, and that is all."
  type = object({
    delivery              = optional(string, "pubsub")
    object_prefix         = optional(string, "")
    ack_deadline_s        = optional(number)
    min_backoff_s         = optional(number, 10)
    max_backoff_s         = optional(number, 600)
    max_delivery_attempts = optional(number, 10)
    max_age_s             = optional(number, 86400)
    input_days            = optional(number)
    result_days           = optional(number)
  })
  default = null

  validation {
    condition     = try(contains(["eventarc", "pubsub"], var.events.delivery), true)
    error_message = "events.delivery must be \"pubsub\" or \"eventarc\"."
  }

  validation {
    condition     = try(var.events.delivery == "pubsub" || var.events.object_prefix == "", true)
    error_message = "events.object_prefix needs delivery = \"pubsub\": Eventarc watches a whole bucket."
  }

  validation {
    condition     = try(var.events.ack_deadline_s == null || (var.events.ack_deadline_s >= 10 && var.events.ack_deadline_s <= 600), true)
    error_message = "events.ack_deadline_s must be 10 to 600, as Pub/Sub has it; without it, it is service.timeout_s."
  }

  validation {
    condition     = try(var.events.delivery == "eventarc" || coalesce(var.events.ack_deadline_s, var.service.timeout_s) >= var.service.timeout_s, true)
    error_message = "events.ack_deadline_s must be at least service.timeout_s: below it a slow answer is delivered, and paid for, twice. Raise it, or lower service.timeout_s."
  }

  validation {
    condition     = try(var.events.delivery == "eventarc" || var.service.timeout_s <= 600, true)
    error_message = "service.timeout_s must be at most 600 with events: a push subscription waits no longer for an answer. Longer work belongs in batch."
  }

  validation {
    condition     = try(var.events.min_backoff_s >= 0 && var.events.min_backoff_s <= var.events.max_backoff_s && var.events.max_backoff_s <= 600, true)
    error_message = "events.min_backoff_s and events.max_backoff_s must be 0 to 600, the first not above the second."
  }

  validation {
    condition     = try(var.events.max_delivery_attempts >= 5 && var.events.max_delivery_attempts <= 100, true)
    error_message = "events.max_delivery_attempts must be 5 to 100, as Pub/Sub has it."
  }

  validation {
    condition     = try(var.events.max_age_s >= 600 && var.events.max_age_s <= 2678400, true)
    error_message = "events.max_age_s must be 600 to 2678400 (31 days), the shortest and longest that Pub/Sub keeps a message."
  }

  validation {
    condition     = try(coalesce(var.events.input_days, 1) >= 1 && coalesce(var.events.result_days, 1) >= 1, true)
    error_message = "events.input_days and events.result_days must be 1 or more; without them objects stay."
  }
}

variable "labels" {
  description = "Labels of every resource that takes them, beside `app`, which is `name`."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels take lower-case letters, digits, underscores and hyphens, at most 63, a key with a letter first."
  }
}

variable "models" {
  description = "Model repository in an existing bucket; null serves the models baked into the image. `mount` reads it as a volume, page by page; without it a cold start downloads the model's files to memory and checks their digests there."
  type = object({
    bucket = string
    prefix = optional(string, "")
    mount  = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.models == null || can(regex("^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$", var.models.bucket))
    error_message = "models.bucket must be a bucket's name alone, without gs:// and without a path; the path is models.prefix."
  }

  validation {
    condition     = try(!startswith(var.models.prefix, "/") && !endswith(var.models.prefix, "/"), true)
    error_message = "models.prefix must have no slash at its begin or end, such as \"models/vision\"."
  }
}

variable "monitoring" {
  description = "Log-based metrics, a dashboard, and objectives for availability, latency of warm requests, and cold starts, each with a fast and a slow burn-rate alert. A goal is the share of requests, or of starts, that must be good. Where calls are few, one failure is a high rate: with `min_requests`, alerts stay quiet below that many in an hour, for one more condition each."
  type = object({
    availability_goal = optional(number, 0.99)
    latency_goal      = optional(number, 0.95)
    latency_ms        = optional(number, 1000)
    cold_start_goal   = optional(number, 0.95)
    cold_start_ms     = optional(number, 10000)
    rolling_days      = optional(number, 28)
    fast_burn_rate    = optional(number, 14.4)
    slow_burn_rate    = optional(number, 6)
    min_requests      = optional(number, 0)
  })
  default = null

  validation {
    condition     = try(alltrue([for goal in [var.monitoring.availability_goal, var.monitoring.latency_goal, var.monitoring.cold_start_goal] : goal > 0 && goal <= 0.999]), true)
    error_message = "Goals must be shares above 0 and at most 0.999, as Cloud Monitoring has it: a goal of 1 leaves no errors to spend."
  }

  validation {
    # With everything bad, the budget burns at 1 / (1 - goal): an alert at that rate would never fire.
    condition     = try(alltrue([for goal in [var.monitoring.availability_goal, var.monitoring.latency_goal, var.monitoring.cold_start_goal] : var.monitoring.fast_burn_rate * (1 - goal) < 1]), true)
    error_message = "monitoring.fast_burn_rate must be below 1 / (1 - goal) for each goal, or its alert can never fire: lower it, or raise the goal."
  }

  validation {
    condition     = try(var.monitoring.slow_burn_rate > 1 && var.monitoring.slow_burn_rate < var.monitoring.fast_burn_rate, true)
    error_message = "monitoring.slow_burn_rate must be above 1 and below monitoring.fast_burn_rate."
  }

  validation {
    condition     = try(var.monitoring.min_requests >= 0, true)
    error_message = "monitoring.min_requests must be 0 or more; 0 leaves the condition out."
  }

  validation {
    condition     = try(var.monitoring.latency_ms > 0 && var.monitoring.cold_start_ms > 0, true)
    error_message = "monitoring.latency_ms and monitoring.cold_start_ms must be above 0."
  }

  validation {
    condition     = try(var.monitoring.rolling_days >= 1 && var.monitoring.rolling_days <= 30, true)
    error_message = "monitoring.rolling_days must be 1 to 30, as Cloud Monitoring has it."
  }
}

variable "name" {
  description = "Name of the service, and the first part of every other name."
  type        = string
  default     = "zeropoint"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 20 lower-case letters, digits and hyphens, a letter first and no hyphen last: a service account's id is name and a suffix, in 30 characters."
  }
}

variable "notification_channels" {
  description = "Notification channels that exist already (projects/P/notificationChannels/N), for chat or a pager."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", channel))])
    error_message = "notification_channels takes names such as projects/P/notificationChannels/123 (gcloud beta monitoring channels list)."
  }
}

variable "project_id" {
  description = "Project to build in. Its Resource Manager and Service Usage APIs must be enabled."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be the project's id, 6 to 30 lower-case letters, digits and hyphens: not its number, and not its name."
  }
}

variable "region" {
  description = "Region of everything that has one: service, job, buckets, registry, trigger, dataset, endpoint."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be one region, such as europe-west1: not a zone, and not a multi-region."
  }
}

variable "service" {
  description = "The Cloud Run service. Private: only `invokers` may call it, unless `public` lets everybody. The pipeline owns image and traffic; `image` only starts it. `env` adds settings, `secrets` variables from pinned versions of secrets, `read_buckets` buckets whose objects may be instances, `gpu` an NVIDIA L4."
  type = object({
    image             = optional(string, "us-docker.pkg.dev/cloudrun/container/hello")
    cpu               = optional(number, 2)
    memory_mib        = optional(number, 2048)
    gpu               = optional(object({ type = optional(string, "nvidia-l4"), zonal_redundancy = optional(bool, false) }))
    min_instances     = optional(number, 0)
    max_instances     = optional(number, 10)
    concurrency       = optional(number, 16)
    timeout_s         = optional(number, 60)
    startup_timeout_s = optional(number, 120)
    env               = optional(map(string), {})
    secrets           = optional(map(object({ secret = string, version = string })), {})
    read_buckets      = optional(set(string), [])
    invokers          = optional(set(string), [])
    public            = optional(bool, false)
    ingress           = optional(string, "INGRESS_TRAFFIC_ALL")
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains([1, 2, 4, 6, 8], var.service.cpu)
    error_message = "service.cpu must be 1, 2, 4, 6 or 8: less than one processor serves one request at a time, and not on the second generation."
  }

  validation {
    condition = try(
      var.service.memory_mib >= { "1" = 512, "2" = 512, "4" = 2048, "6" = 4096, "8" = 4096 }[tostring(var.service.cpu)] &&
      var.service.memory_mib <= { "1" = 4096, "2" = 8192, "4" = 16384, "6" = 24576, "8" = 32768 }[tostring(var.service.cpu)],
      true
    )
    error_message = "service.memory_mib does not go with service.cpu: 512 to 4096 with 1, 512 to 8192 with 2, 2048 to 16384 with 4, 4096 to 24576 with 6, 4096 to 32768 with 8."
  }

  validation {
    condition     = var.service.gpu == null || try(var.service.gpu.type, "") == "nvidia-l4"
    error_message = "service.gpu.type must be \"nvidia-l4\"."
  }

  validation {
    condition     = var.service.gpu == null || try(var.service.cpu >= 4 && var.service.memory_mib >= 16384, true)
    error_message = "A GPU needs service.cpu 4 or more and service.memory_mib 16384 or more."
  }

  validation {
    condition     = var.service.min_instances >= 0 && var.service.max_instances >= 1 && var.service.min_instances <= var.service.max_instances
    error_message = "service.max_instances must be 1 or more, and service.min_instances 0 to service.max_instances."
  }

  validation {
    condition     = var.service.concurrency >= 1 && var.service.concurrency <= 1000
    error_message = "service.concurrency must be 1 to 1000."
  }

  validation {
    condition     = var.service.timeout_s >= 10 && var.service.timeout_s <= 3600
    error_message = "service.timeout_s must be 10 to 3600."
  }

  validation {
    condition     = var.service.startup_timeout_s >= 1 && var.service.startup_timeout_s <= 240
    error_message = "service.startup_timeout_s must be 1 to 240, the longest that Cloud Run waits for a container to start."
  }

  validation {
    condition     = alltrue([for name in concat(keys(var.service.env), keys(var.service.secrets)) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name))])
    error_message = "The keys of service.env and service.secrets are names of environment variables."
  }

  validation {
    condition = length(setintersection(
      concat(keys(var.service.env), keys(var.service.secrets)),
      ["PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION", "ZEROPOINT_CPUS", "ZEROPOINT_TIMEOUT_S", "ZEROPOINT_COMMIT"]
    )) == 0 && length(setintersection(keys(var.service.env), keys(var.service.secrets))) == 0
    error_message = "service.env and service.secrets must not share a name, nor set what Cloud Run, the image or this module sets: PORT, K_*, ZEROPOINT_COMMIT, ZEROPOINT_CPUS (service.cpu), ZEROPOINT_TIMEOUT_S (service.timeout_s)."
  }

  validation {
    condition     = alltrue([for secret in var.service.secrets : can(regex("^[1-9][0-9]*$", secret.version))])
    error_message = "The version of a secret must be a number: a service with \"latest\" does not follow it, and two instances may hold different values."
  }

  validation {
    condition     = alltrue([for member in var.service.invokers : can(regex("^(user|group|serviceAccount|domain|principal|principalSet):", member))])
    error_message = "service.invokers takes members such as serviceAccount:… or group:…; to let everybody call the service, set service.public = true."
  }

  validation {
    condition     = !var.service.public || length(var.service.invokers) == 0
    error_message = "With service.public everybody may call the service, and service.invokers says nothing: leave out one of the two."
  }

  validation {
    condition     = contains(["INGRESS_TRAFFIC_ALL", "INGRESS_TRAFFIC_INTERNAL_ONLY", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"], var.service.ingress)
    error_message = "service.ingress must be INGRESS_TRAFFIC_ALL, INGRESS_TRAFFIC_INTERNAL_ONLY or INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER."
  }
}

variable "vertex" {
  description = "Vertex AI endpoint, and the account its containers run as. deploy/vertex.sh uploads the image and deploys it there; a deployed model has at least one replica, which is billed while idle. An endpoint with nothing deployed costs nothing."
  type = object({
    display_name = optional(string, "Zeropoint")
  })
  default = null
}
