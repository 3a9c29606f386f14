variable "alert_emails" {
  description = "Who is told when an upload could not be answered."
  type        = set(string)
}

variable "delivery" {
  description = "How an upload reaches the service: pubsub or eventarc."
  type        = string
  default     = "pubsub"
}

variable "image" {
  description = "Image of the service. The default is Google's sample; the pipeline brings the real one."
  type        = string
  default     = "us-docker.pkg.dev/cloudrun/container/hello"
}

variable "invokers" {
  description = "Who may call the service, such as user:me@example.com."
  type        = set(string)
  default     = []
}

variable "project_id" {
  description = "Project to build in."
  type        = string
}

variable "region" {
  description = "Region to build in."
  type        = string
  default     = "europe-west1"
}
