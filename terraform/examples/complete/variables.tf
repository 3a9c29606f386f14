variable "alert_emails" {
  description = "Who is told of alerts and of the budget."
  type        = set(string)
}

variable "billing_account" {
  description = "Billing account of the project, for its budget."
  type        = string
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

variable "repository" {
  description = "Cloud Build repository: projects/P/locations/REGION/connections/C/repositories/R."
  type        = string
}
