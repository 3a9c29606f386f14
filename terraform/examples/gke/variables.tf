variable "concurrency" {
  description = "Most requests that one pod answers at once. No more than ZEROPOINT_MAX_QUEUE."
  type        = number
  default     = 16
  nullable    = false

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 128 && floor(var.concurrency) == var.concurrency
    error_message = "concurrency is a whole number from 1 to 128: the function queues 128 requests by default."
  }
}

variable "cpu" {
  description = "Processors of a pod; also ZEROPOINT_CPUS."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.cpu > 0 && var.cpu <= 64
    error_message = "cpu is the number of processors, such as 0.5 or 2."
  }
}

variable "google_service_account" {
  description = "Google service account that the pods act as through Workload Identity Federation for GKE. Null: none, enough for models in the image."
  type        = string
  default     = null

  validation {
    condition     = var.google_service_account == null || can(regex("^[^@]+@[^@]+\\.iam\\.gserviceaccount\\.com$", coalesce(var.google_service_account, "-")))
    error_message = "google_service_account is an e-mail address that ends in .iam.gserviceaccount.com."
  }
}

variable "image" {
  description = "The image, by its digest, so that all pods run the same."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^@\\s]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image names a digest: HOST/PROJECT/REPOSITORY/zeropoint@sha256:…, as `gcloud artifacts docker images describe` prints it."
  }
}

variable "memory" {
  description = "Memory of a pod. /tmp counts: models from a bucket are kept there."
  type        = string
  default     = "1Gi"
  nullable    = false

  validation {
    condition     = can(regex("^[1-9][0-9]*(Mi|Gi)$", var.memory))
    error_message = "memory is a number with Mi or Gi, such as 512Mi."
  }
}

variable "name" {
  description = "Name of the service and of its Kubernetes service account."
  type        = string
  default     = "zeropoint"
  nullable    = false

  validation {
    # KServe makes {name}-predictor-{namespace} a DNS label of at most 63 characters.
    condition     = can(regex("^[a-z]([-a-z0-9]{0,28}[a-z0-9])?$", var.name))
    error_message = "name has at most 30 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "namespace" {
  description = "Namespace; it must exist."
  type        = string
  default     = "default"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?$", var.namespace))
    error_message = "namespace has at most 20 lower-case letters, digits and hyphens: it becomes a part of a DNS label."
  }
}

variable "public" {
  description = "Whether the gateway answers outside the cluster. It asks nobody who they are: put an identity-aware proxy before it."
  type        = bool
  default     = false
  nullable    = false
}

variable "scaling" {
  description = "Least and most pods. The nodes are billed whether a pod runs or not, unless the cluster's own autoscaler removes them."
  type = object({
    min = optional(number, 0)
    max = optional(number, 5)
  })
  default  = {}
  nullable = false

  validation {
    # 0 means "no limit" to Knative.
    condition     = var.scaling.min >= 0 && var.scaling.max >= 1 && var.scaling.min <= var.scaling.max
    error_message = "scaling wants 0 <= min <= max, and max of at least 1: Knative takes 0 for no limit."
  }
}

variable "settings" {
  description = "Settings of the function, by variable (ZEROPOINT_RESULTS, ZEROPOINT_BUCKETS, …)."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.settings) : startswith(name, "ZEROPOINT_")])
    error_message = "settings are variables that begin with ZEROPOINT_; PORT and K_… belong to the platform."
  }
}

variable "timeout_s" {
  description = "Longest time for an answer, its cold start included."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.timeout_s >= 1 && var.timeout_s <= 600
    error_message = "timeout_s is from 1 to 600: Knative's own largest is 600 unless the cluster's operator raised it."
  }
}
