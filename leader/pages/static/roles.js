// SPDX-License-Identifier: Apache-2.0
// roles - what somebody may do here, so that the rest is not offered. The leader decides all the same.
const MANAGER = "key-manager:";
const SEEN_BY_MANAGERS = ["apikey", "user", "usage"];

const isManager = (session) => session.roles.some((role) => role.startsWith(MANAGER));

export const isAdmin = (session) => session.roles.includes("admin");
export const seesAll = (session) => isAdmin(session) || session.roles.includes("reader");
export const maySee = (session, page) => seesAll(session) || (isManager(session) && SEEN_BY_MANAGERS.includes(page));
export const mayChange = (session, kind) => isAdmin(session) || (isManager(session) && kind === "apikey");
