/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_http - what the table of settings cannot say of http: rates of methods, trusted proxies.
 */
#pragma once

#include "worker/settings.h"

/* Fills settings->rate_rules. What is wrong is appended to *errors, one a line. */
void settings_http_read(struct worker_settings *settings, struct buf *errors);
