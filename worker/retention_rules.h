/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_rules - the retention that is in force: of the settings, which are read again while the worker runs, and of the leaders' entities.
 *
 *   a `repository` entity that decides for the name and has a retention   that one
 *   else                                                                  storage.retention of the root in which the name lies
 *
 * It is on where this worker knows the newest policies: one that is cut off from its leaders for longer than its lease removes nothing.
 * Thread  retention_rules_set(): main; what retention_rules_whose() gives: any.
 */
#pragma once

#include "worker/chores/retention_chore.h"

struct cluster;
struct registry;
struct worker_settings;

struct retention_rules;
/* All outlive it; the settings were found to be right. */
struct retention_rules *retention_rules_new(struct cluster *cluster, const struct registry *registry, const struct worker_settings *settings);
void retention_rules_free(struct retention_rules *rules); /* NULL is fine */
/* Those of settings that were read again, and are right; the roots stay what they are. */
void retention_rules_set(struct retention_rules *rules, const struct worker_settings *settings);
struct retention_whose retention_rules_whose(struct retention_rules *rules);
