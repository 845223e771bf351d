import { screen, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { choose, dialog, gone } from "../../test/act";
import { page, type Sent, server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { Caps } from "./Caps";

const PATH = "/api/v1/wallets/{wallet_id}/caps";
const spent = (limit: string) => ({ limit, spent: "1.000000", left: "1.000000", renews_at: make.NOW });
const operators = make.cap({ set_by: "operator", daily: spent("5.000000") });
const managers = make.cap({ set_by: "keeper", daily: spent("3.000000") });
const each = make.cap({ user_id: "*", daily: spent("50.000000") });
const wallet = make.wallet({ id: "wal_1", owner: "group", owner_id: "grp_1", owner_name: "lab" });
const manager = make.session({ user: make.user({ roles: ["renter"] }), recharges: false });

async function begin(as = make.session()) {
  server.on("get", PATH, page([operators, managers, each]));
  const rita = {
    user: { id: "usr_rita", username: "rita", display_name: "", status: "active" as const },
    role: "member" as const,
  };
  server.on("get", "/api/v1/groups/{group_id}", make.groupDetail({ members: [rita] }));
  const { user } = show(<Caps wallet={wallet} canChange />, { as });
  await screen.findByText("set by an operator");
  await user.click(screen.getByRole("button", { name: "Set caps" }));
  const one = await dialog();
  const window = within(one);
  return { user, one, window, send: () => user.click(window.getByRole("button", { name: "OK" })) };
}

test("caps of both levels are shown, and whom they bind", async () => {
  await begin();
  expect(screen.getAllByText("set by an operator")).toHaveLength(1);
  expect(screen.getByText("Each member without caps of their own")).toBeVisible();
  for (const limit of ["5", "3", "50"]) expect(screen.getByText(new RegExp(`of ${limit} UNC`))).toBeVisible();
});

test("a manager changes the managers' caps, and is asked nothing else", async () => {
  server.on("put", PATH, page([managers]));
  const { user, one, window, send } = await begin(manager);
  expect(window.getByText("An operator's")).not.toBeVisible();
  const daily = window.getByLabelText("A day");
  expect(daily).toHaveValue("3.000000");
  await user.clear(daily);
  await send();
  await gone(one);
  expect(server.sent("put", PATH)).toEqual({
    user_id: null,
    set_by: "keeper",
    daily: null,
    monthly: null,
    total: null,
  });
});

test("an operator changes an operator's, or the managers'", async () => {
  server.on("put", PATH, page([managers]));
  const { user, one, window, send } = await begin();
  const daily = window.getByLabelText("A day");
  expect(daily).toHaveValue("5.000000");
  await user.click(window.getByText("The owner's or the managers'"));
  expect(daily).toHaveValue("3.000000");
  await choose(user, window.getByLabelText("For whom"), "Each member without caps of their own");
  expect(daily).toHaveValue("50.000000");
  await user.clear(daily);
  await user.type(daily, "7");
  await send();
  await gone(one);
  expect(server.sent("put", PATH)).toMatchObject({ user_id: "*", set_by: "keeper", daily: "7" });
});

const FIELDS: Record<keyof Sent<typeof PATH, "put">, true> = {
  user_id: true,
  set_by: true,
  daily: true,
  monthly: true,
  total: true,
};

test.each([
  ["operator", make.session()],
  ["manager", manager],
])("every refusal is seen by a %s", async (_, as) => {
  const { user } = await begin(as);
  await everyRefusalIsSeen(user, Object.keys(FIELDS), (refusal) => server.on("put", PATH, refusal));
});
