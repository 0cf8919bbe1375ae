/* SPDX-License-Identifier: Apache-2.0 */
/*
 * system - how the process is: /livez, /readyz, /metrics. From memory, never waits.
 */
#pragma once

struct http_response;
struct leader;
struct http_response *system_livez(struct leader *leader);
struct http_response *system_readyz(struct leader *leader);
struct http_response *system_metrics(struct leader *leader);
