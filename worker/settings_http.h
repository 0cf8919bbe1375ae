/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_http - what the table of settings cannot say of http: rates of methods, trusted proxies, client certificates.
 */
#pragma once

#include "common/tls_files.h"
#include "worker/auth/cert_identity.h"
#include "worker/settings.h"

/* Fills settings->rate_rules. What is wrong is appended to *errors, one a line. */
void settings_http_read(struct worker_settings *settings, struct buf *errors);
/* Borrowed from the settings. */
struct cert_identity_rules settings_http_mtls(const struct worker_settings *settings);
struct tls_paths settings_http_tls(const struct worker_settings *settings);
