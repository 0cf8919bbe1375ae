/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_cluster - what the cluster is told of the settings.
 */
#pragma once

#include "worker/cluster/member_settings.h"
#include "worker/settings.h"

/* Borrowed from the settings. */
struct member_settings settings_cluster(const struct worker_settings *settings);
