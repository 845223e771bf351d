import { screen, waitFor, within } from "@testing-library/react";
import { beforeEach, expect, test } from "vitest";
import { dialog, gone } from "../../test/act";
import { page, server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { Sites } from "./Sites";

const PATH = "/api/v1/sites";
const TOKEN = "/api/v1/sites/{site_id}/token";
const NETWORKS = "/api/v1/sites/{site_id}/networks";
const miner = make.session({ user: make.user({ roles: ["miner"] }) });
const basement = make.site({ id: "site_1", name: "basement" });
const local = {
  ...basement,
  id: "site_0",
  name: "local",
  local: true,
  page_networks: ["10.89.0.0/16", "10.90.0.0/15"],
};

beforeEach(() => server.on("get", PATH, page([local, basement])));

async function begin(as = make.session()) {
  const { user } = show(<Sites />, { as });
  const row = (name: string) => within(screen.getByText(name).closest("tr") as HTMLElement);
  await screen.findByText("basement");
  return {
    user,
    row,
    press: (name: string, button: string) => user.click(row(name).getByRole("button", { name: button })),
  };
}

test("says where pages of a site open, and what is wrong with it", async () => {
  const flag = "Two agents speak with its token at once: give it a new token, and only one of them.";
  server.on("get", PATH, page([local, { ...basement, flags: [flag] }]));
  const { row } = await begin();
  expect(row("local").getByText("10.90.0.0/15")).toBeVisible();
  expect(row("basement").getByText("Pages do not open")).toBeVisible();
  expect(row("basement").getByText(flag)).toBeVisible();
});

test("whoever makes a site reads before and after that pages of distant servers do not open", async () => {
  server.on("post", PATH, make.site({ name: "attic", token: "utcs_attic" }));
  const { user } = await begin(miner);
  await user.click(screen.getByRole("button", { name: "Create site" }));
  const window = within(await dialog());
  expect(window.getByText(/their pages do not open yet/)).toBeVisible();
  await user.type(window.getByLabelText("Name"), "attic");
  await user.click(window.getByRole("button", { name: "OK" }));
  expect(await screen.findByText(/utcs_attic/)).toBeVisible();
  const join = within(await dialog());
  expect(join.getByText(/their pages do not open yet/)).toBeVisible();
});

test("an address of this machine alone is not offered to another server", async () => {
  server.on("post", PATH, make.site({ name: "attic", token: "utcs_attic" }));
  const { user } = await begin(miner);
  await user.click(screen.getByRole("button", { name: "Create site" }));
  await user.type(within(await dialog()).getByLabelText("Name"), "attic");
  await user.click(within(await dialog()).getByRole("button", { name: "OK" }));
  const command = await screen.findByText(/UTCLOUD_SERVER_URL=/);
  expect(command).toHaveTextContent("UTCLOUD_SERVER_URL=https://ADDRESS-OF-THIS-PLATFORM ");
  expect(command).not.toHaveTextContent("localhost");
  expect(screen.getByText(/which another server cannot reach/)).toBeVisible();
});

test("a token is replaced after a question, and the new one is shown once", async () => {
  server.on("post", TOKEN, make.site({ name: "basement", token: "utcs_new" }));
  const { user, press } = await begin(miner);
  await press("basement", "Rotate token");
  const asked = await dialog();
  expect(within(asked).getByText(/stays good for ten minutes/)).toBeVisible();
  expect(server.calls("post", TOKEN)).toEqual([]);
  await user.click(within(asked).getByRole("button", { name: "Rotate token" }));
  expect(await screen.findByText(/echo utcs_new/)).toBeVisible();
  expect(server.calls("post", TOKEN)[0]?.path).toEqual({ site_id: "site_1" });
  await user.keyboard("{Escape}");
  expect(screen.getByText(/echo utcs_new/)).toBeVisible();
  await user.click(screen.getByRole("button", { name: "I have copied it" }));
  await waitFor(() => expect(screen.queryByText(/echo utcs_new/)).toBeNull());
});

test("the platform's own site keeps its token, and networks are an operator's", async () => {
  const { row } = await begin(miner);
  expect(row("local").queryByRole("button", { name: "Rotate token" })).toBeNull();
  for (const name of ["local", "basement"]) expect(row(name).queryByRole("button", { name: "Networks" })).toBeNull();
});

test("an operator says in which networks pages may be, one a line", async () => {
  server.on("get", PATH, page([local, { ...basement, networks: ["10.1.0.0/16"] }]));
  server.on("put", NETWORKS, basement);
  const { user, press } = await begin();
  await press("basement", "Networks");
  const one = await dialog();
  const field = within(one).getByLabelText("Networks");
  expect(field).toHaveValue("10.1.0.0/16");
  await user.type(field, "{Enter}10.2.0.0/16, fd00::/64 ");
  await user.click(within(one).getByRole("button", { name: "OK" }));
  await gone(one);
  expect(server.sent("put", NETWORKS)).toEqual({ networks: ["10.1.0.0/16", "10.2.0.0/16", "fd00::/64"] });
});

test("every refusal of networks is seen", async () => {
  const { user, press } = await begin();
  await press("basement", "Networks");
  await dialog();
  await everyRefusalIsSeen(user, ["networks", "networks.1", "name"], (refusal) => server.on("put", NETWORKS, refusal));
});
