/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reset_admin - the way back for who has lost the admin's password: `zot-leader reset-admin`.
 *
 * It works on the store of a leader that is stopped; while one runs, it has the folder, and nothing is changed. So it needs
 * nothing but the rights to the folder, which has all secrets anyway. On Redis leaders may run: they follow the change as another leader's.
 *
 * Thread  main.
 */
#pragma once

struct leader_settings;

/* The user ZOT_ADMIN_USER gets a password that is made up and printed on stdout, once it is stored; is enabled, and has the role
 * admin; and is made where there is none. Other users stay as they are. The process's exit status. */
int reset_admin(const struct leader_settings *settings);
