# Guards that no upload is lost, answered twice for want of a deadline, or answered for ever.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project_id   = "my-project"
  region       = "europe-west1"
  alert_emails = ["team@example.com"]
  events       = {}
}

# Regression: a dead-letter topic without a subscription loses what is published to it.
run "dead_letters_are_kept_and_told" {
  assert {
    condition     = google_pubsub_subscription.push[0].dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.dead_letters[0].id && google_pubsub_subscription.dead_letters[0].topic == google_pubsub_topic.dead_letters[0].id
    error_message = "Dead letters need a topic, and the topic a subscription."
  }

  assert {
    condition     = google_pubsub_subscription.dead_letters[0].message_retention_duration == "2678400s"
    error_message = "Dead letters are kept as long as can be."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.dead_letters[0].conditions[0].condition_threshold[0].filter, "dead_letter_message_count") && google_monitoring_alert_policy.dead_letters[0].notification_channels == tolist([google_monitoring_notification_channel.email["team@example.com"].id])
    error_message = "Somebody must be told of a dead letter."
  }

  assert {
    condition     = google_pubsub_topic_iam_member.pubsub_dead_letters[0].role == "roles/pubsub.publisher" && google_pubsub_subscription_iam_member.pubsub_dead_letters[0].role == "roles/pubsub.subscriber"
    error_message = "Pub/Sub's agent needs both roles, or nothing is ever moved."
  }

  assert {
    condition     = google_pubsub_topic_iam_member.pubsub_dead_letters[0].member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    error_message = "The agent is the project's own."
  }
}

# Regression: a subscription with nothing to do for 31 days is deleted, as a service scaled to zero has.
run "subscriptions_never_expire" {
  command = plan

  assert {
    condition     = google_pubsub_subscription.push[0].expiration_policy[0].ttl == "" && google_pubsub_subscription.dead_letters[0].expiration_policy[0].ttl == ""
    error_message = "Both subscriptions must never expire."
  }
}

# Bill: a slow answer that is delivered again, and answered again.
run "deadline_is_the_timeout" {
  command = plan

  variables {
    service = { timeout_s = 420 }
  }

  assert {
    condition     = google_pubsub_subscription.push[0].ack_deadline_seconds == 420
    error_message = "The acknowledgement deadline follows the service's timeout."
  }
}

# Bill: a message that comes again at once, thousands of times.
run "retries_back_off" {
  command = plan

  assert {
    condition     = google_pubsub_subscription.push[0].retry_policy[0].minimum_backoff == "10s" && google_pubsub_subscription.push[0].retry_policy[0].maximum_backoff == "600s" && google_pubsub_subscription.push[0].dead_letter_policy[0].max_delivery_attempts == 10
    error_message = "Retries must be spaced, and end."
  }
}

# Regression: 401 at each push.
run "pushes_are_signed_for_the_service" {
  assert {
    condition     = google_pubsub_subscription.push[0].push_config[0].push_endpoint == "https://zeropoint-abc123-ew.a.run.app/pubsub" && google_pubsub_subscription.push[0].push_config[0].oidc_token[0].audience == "https://zeropoint-abc123-ew.a.run.app"
    error_message = "The audience is the service's URL, without the path."
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_member.events[0].role == "roles/run.invoker" && google_service_account_iam_member.pubsub_signs[0].role == "roles/iam.serviceAccountTokenCreator"
    error_message = "The account may call the service, and Pub/Sub may sign as it."
  }
}

# Bill: results that call the service again. Regression: an event that the function thinks too old to answer.
run "function_reads_one_bucket_and_writes_another" {
  command = plan

  variables {
    events = { max_age_s = 3600 }
  }

  assert {
    condition     = google_storage_notification.uploads[0].bucket == "my-project-zeropoint-input" && google_storage_notification.uploads[0].event_types == toset(["OBJECT_FINALIZE"])
    error_message = "Only uploads to the bucket for input are told."
  }

  assert {
    condition = { for env in google_cloud_run_v2_service.function.template[0].containers[0].env : env.name => env.value if startswith(env.name, "ZEROPOINT_") && !contains(["ZEROPOINT_CPUS", "ZEROPOINT_MAX_LOADED_BYTES", "ZEROPOINT_MAX_WRITING_S", "ZEROPOINT_TIMEOUT_S"], env.name) } == {
      ZEROPOINT_BUCKETS         = "my-project-zeropoint-input"
      ZEROPOINT_EVENT_MAX_AGE_S = "3600"
      ZEROPOINT_RESULTS         = "gs://my-project-zeropoint-results"
    }
    error_message = "The function must be told its buckets and the age of events."
  }

  assert {
    condition     = google_pubsub_subscription.push[0].message_retention_duration == "3600s"
    error_message = "A message is kept as long as it would be answered."
  }
}

# Regression: a bucket that the internet may read, or that a destroy empties.
run "buckets_are_private_and_kept" {
  command = plan

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.events : bucket.uniform_bucket_level_access && bucket.public_access_prevention == "enforced" && !bucket.force_destroy && bucket.versioning[0].enabled])
    error_message = "Buckets must be private, versioned, and not emptied by a destroy."
  }
}

# Bill: old versions, and uploads that broke off, kept for ever.
run "what_is_over_is_deleted" {
  command = plan

  variables {
    events = { input_days = 30 }
  }

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.events : anytrue([for rule in bucket.lifecycle_rule : anytrue([for condition in rule.condition : condition.days_since_noncurrent_time == 7])])])
    error_message = "Versions that another took the place of must be deleted."
  }

  assert {
    condition     = anytrue([for rule in google_storage_bucket.events["input"].lifecycle_rule : anytrue([for condition in rule.condition : condition.age == 30])]) && !anytrue([for rule in google_storage_bucket.events["results"].lifecycle_rule : anytrue([for condition in rule.condition : condition.age == 30])])
    error_message = "input_days must delete uploads, and no results."
  }
}

# The other way, and what it costs: two grants on the project, and no dead letters.
run "eventarc" {
  variables {
    events = { delivery = "eventarc" }
  }

  assert {
    condition     = google_eventarc_trigger.uploads[0].location == "europe-west1" && google_eventarc_trigger.uploads[0].destination[0].cloud_run_service[0].path == "/events"
    error_message = "The trigger must be where its bucket is, and call /events."
  }

  assert {
    condition     = { for criterion in google_eventarc_trigger.uploads[0].matching_criteria : criterion.attribute => criterion.value } == { bucket = "my-project-zeropoint-input", type = "google.cloud.storage.object.v1.finalized" }
    error_message = "The trigger watches uploads to the bucket for input."
  }

  assert {
    condition     = google_project_iam_member.eventarc_receives[0].role == "roles/eventarc.eventReceiver" && google_project_iam_member.storage_publishes[0].role == "roles/pubsub.publisher"
    error_message = "Eventarc needs these two."
  }

  assert {
    condition     = length(google_pubsub_topic.uploads) + length(google_pubsub_subscription.push) + length(google_storage_notification.uploads) == 0
    error_message = "An upload must not be told on both ways."
  }
}
