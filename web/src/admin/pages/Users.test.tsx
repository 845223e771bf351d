import { screen, waitFor, within } from "@testing-library/react";
import { beforeEach, expect, test } from "vitest";
import { dialog, gone, pick } from "../../test/act";
import { page, refuse, type Sent, server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { Users } from "./Users";

const PATH = "/api/v1/users";
const olga = make.user({ id: "usr_olga", username: "olga", roles: ["operator"] });
const rita = make.user({ id: "usr_rita", username: "rita" });
const fred = make.user({ id: "usr_fred", username: "fred", status: "frozen", frozen_reason: "spam" });
const me = make.session({ user: olga });

beforeEach(() => {
  server.on("get", PATH, page([olga, rita, fred]));
  server.on("get", "/api/v1/groups", page([make.group()]));
  server.on("get", "/api/v1/wallets", page([make.wallet({ owner_id: rita.id, available: "7.500000" })]));
  server.on("get", "/api/v1/storage", page([make.storage({ user_id: rita.id, used_bytes: 12.3e9 })]));
});

async function begin() {
  const { user } = show(<Users />, { as: me });
  await screen.findByRole("button", { name: "rita" });
  const row = (name: string) => within(screen.getByRole("button", { name }).closest("tr") as HTMLElement);
  const more = (name: string, line: string) => pick(user, row(name).getByRole("button", { name: "More" }), line);
  return { user, row, more };
}

async function create() {
  const all = await begin();
  await all.user.click(screen.getByRole("button", { name: "Create user" }));
  const window = within(await dialog());
  return {
    ...all,
    window,
    name: window.getByLabelText("Username"),
    send: () => all.user.click(window.getByRole("button", { name: "OK" })),
  };
}

test("shows what each has left, and why one is frozen", async () => {
  const { row } = await begin();
  expect(row("rita").getByText("7.5 UNC")).toBeVisible();
  expect(row("rita").getByText("12.3 GB of 200 GB")).toBeVisible();
  expect(row("fred").getByText(/Frozen/)).toBeVisible();
  const [wallets] = server.calls("get", "/api/v1/wallets");
  expect(wallets?.query.getAll("owner_id")).toEqual(["usr_olga", "usr_rita", "usr_fred"]);
});

test("a miner looks and changes nothing", async () => {
  show(<Users />, { as: make.session({ user: make.user({ roles: ["miner"] }) }) });
  expect(await screen.findByRole("button", { name: "rita" })).toBeVisible();
  for (const name of ["Create user", "Invite", "Edit", "More"])
    expect(screen.queryByRole("button", { name })).toBeNull();
  expect(screen.queryByRole("checkbox")).toBeNull();
  expect(server.calls("get", "/api/v1/storage")).toEqual([]);
});

test("a new user's password is shown once, and Esc does not lose it", async () => {
  server.on("post", PATH, { ...make.user({ username: "tim" }), initial_password: "correct-horse" });
  const { user, name, send } = await create();
  await user.type(name, "tim");
  await send();
  expect(await screen.findByText("correct-horse")).toBeVisible();
  expect(screen.getAllByText("Password of tim")[0]).toBeVisible();
  expect(server.sent("post", PATH)).toMatchObject({ username: "tim", password: null, roles: ["renter"] });
  await user.keyboard("{Escape}{Enter} ");
  await user.click(document.querySelector(".ant-modal-wrap") as Element);
  expect(screen.getByText("correct-horse")).toBeVisible();
  await user.click(screen.getByRole("button", { name: "I have copied it" }));
  await waitFor(() => expect(screen.queryByText("correct-horse")).toBeNull());
});

test("a password of one's own is not shown again", async () => {
  server.on("post", PATH, { ...make.user({ username: "tim" }), initial_password: null });
  const { user, window, name, send } = await create();
  await user.type(name, "tim");
  await user.type(window.getByLabelText("Password"), "battery-staple");
  const one = await dialog();
  await send();
  await gone(one);
  expect(server.sent("post", PATH)?.password).toBe("battery-staple");
  expect(screen.queryByText("Password of tim")).toBeNull();
});

test("a short password is refused before it is sent", async () => {
  const { user, window, name, send } = await create();
  await user.type(name, "tim");
  await user.type(window.getByLabelText("Password"), "short");
  await send();
  expect(await window.findByText("At least ten characters")).toBeVisible();
  expect(server.calls("post", PATH)).toEqual([]);
});

const FIELDS: Record<keyof Sent<typeof PATH, "post">, true> = {
  username: true,
  password: true,
  display_name: true,
  email: true,
  roles: true,
  group_ids: true,
};

test("every refusal is seen", async () => {
  const { user, name } = await create();
  await user.type(name, "tim");
  const fields = [...Object.keys(FIELDS), "group_ids.0"];
  await everyRefusalIsSeen(user, fields, (refusal) => server.on("post", PATH, refusal));
});

test("a new password is asked for, shown, and not lost by Esc", async () => {
  server.on("post", "/api/v1/users/{user_id}/reset-password", { password: "new-horse" } as never);
  const { user, more } = await begin();
  await more("rita", "Reset password");
  await user.click(within(await dialog()).getByRole("button", { name: "Reset password" }));
  expect(await screen.findByText("new-horse")).toBeVisible();
  expect(server.sent("post", "/api/v1/users/{user_id}/reset-password")).toEqual({ revoke_tokens: true });
  await user.keyboard("{Escape}");
  expect(screen.getByText("new-horse")).toBeVisible();
});

test("a new password may leave the tokens alone", async () => {
  server.on("post", "/api/v1/users/{user_id}/reset-password", { password: "new-horse" } as never);
  const { user, more } = await begin();
  await more("rita", "Reset password");
  const question = within(await dialog());
  await user.click(question.getByRole("checkbox", { name: /API tokens/ }));
  await user.click(question.getByRole("button", { name: "Reset password" }));
  expect(await screen.findByText("new-horse")).toBeVisible();
  expect(server.sent("post", "/api/v1/users/{user_id}/reset-password")).toEqual({ revoke_tokens: false });
});

test("a second factor that was lost is reset, after a question", async () => {
  server.on("get", PATH, page([olga, { ...rita, second_factor: true }, fred]));
  server.on("post", "/api/v1/users/{user_id}/reset-second-factor", rita);
  const { user, more } = await begin();
  await more("rita", "Reset second factor");
  await user.click(within(await dialog()).getByRole("button", { name: "Reset second factor" }));
  expect(await screen.findByText("A password is enough for rita now")).toBeVisible();
  expect(server.calls("post", "/api/v1/users/{user_id}/reset-second-factor")[0]?.path.user_id).toBe("usr_rita");
});

test("a user is deleted only after a question, whose way out has the focus", async () => {
  const { user, more } = await begin();
  await more("rita", "Delete");
  const question = await dialog();
  expect(question).toHaveTextContent("Delete rita?");
  await waitFor(() => expect(within(question).getByRole("button", { name: "Cancel" })).toHaveFocus());
  await user.keyboard("{Escape}");
  await gone(question);
  expect(server.calls("delete", "/api/v1/users/{user_id}")).toEqual([]);
});

test("who cannot be deleted may be frozen instead", async () => {
  server.on(
    "delete",
    "/api/v1/users/{user_id}",
    refuse(409, { detail: "rita owns 1 algorithm.", cure: "Delete that first." }),
  );
  const { user, more } = await begin();
  await more("rita", "Delete");
  await user.click(within(await dialog()).getByRole("button", { name: "Delete" }));
  expect(await screen.findByText("rita owns 1 algorithm.")).toBeVisible();
  expect(screen.getByText("Delete that first.")).toBeVisible();
  await user.click(screen.getByRole("button", { name: "Freeze instead" }));
  expect(await screen.findByText("Freeze rita?")).toBeVisible();
});

test("one may neither freeze nor delete oneself", async () => {
  const { more } = await begin();
  await more("olga", "Freeze");
  expect(screen.queryByText("Freeze olga?")).toBeNull();
  expect(screen.getByRole("menuitem", { name: "Delete" })).toHaveAttribute("aria-disabled", "true");
});

test("several are frozen at once, oneself and the frozen left out; who is refused is named", async () => {
  const tim = make.user({ id: "usr_tim", username: "tim" });
  server.on("get", PATH, page([olga, rita, tim, fred]));
  server.on("post", "/api/v1/users/{user_id}/freeze", ({ path }) =>
    path.user_id === tim.id ? refuse(409, { detail: "There must be an operator." }) : make.user({ status: "frozen" }),
  );
  const { user } = await begin();
  await user.click(screen.getAllByRole("checkbox", { name: "Choose all rows" })[0] as HTMLElement);
  const bar = within(screen.getByRole("region", { name: "The chosen rows" }));
  await user.click(bar.getByRole("button", { name: "Freeze" }));
  const one = await dialog();
  expect(one).toHaveTextContent("Freeze 2 users?");
  await user.type(within(one).getByLabelText("Reason"), "spam");
  await user.click(within(one).getByRole("button", { name: "Freeze" }));
  expect(await screen.findByText("tim: There must be an operator.")).toBeVisible();
  expect(await screen.findByText("Frozen: 1")).toBeVisible();
  const sent = server.calls("post", "/api/v1/users/{user_id}/freeze");
  expect(sent.map(({ path, body }) => [path.user_id, body])).toEqual([
    ["usr_rita", { running: "stop", reason: "spam" }],
    ["usr_tim", { running: "stop", reason: "spam" }],
  ]);
});
