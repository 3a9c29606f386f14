terraform {
  # 1.9: a variable's validation may refer to other variables.
  required_version = ">= 1.9"

  required_providers {
    google = {
      source = "hashicorp/google"
      # 7.9: the service's own max_instance_count, and mount options of volumes.
      version = ">= 7.9, < 8"
    }
  }
}
