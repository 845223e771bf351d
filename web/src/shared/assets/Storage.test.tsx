import { screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { dialog, gone } from "../../test/act";
import { page, refuse, server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { AssetList } from "./AssetList";
import { exactBytes, StorageCard } from "./Storage";

const PATH = "/api/v1/users/{user_id}/storage";
const mine = make.storage({ used_bytes: 120.5e9, used_files: 2500, uploading_bytes: 1e9 });

test("where one uploads one sees how much is left", async () => {
  server.on("get", "/api/v1/datasets", page([]));
  server.on("get", "/api/v1/storage/mine", mine);
  show(<AssetList kind="datasets" />);
  const meter = within(await screen.findByRole("region", { name: "Your storage" }));
  expect(meter.getByText("121 GB of 200 GB · 1 GB not published yet")).toBeVisible();
  expect(meter.getByText("2,500 of 1,000,000")).toBeVisible();
  expect(meter.getByRole("progressbar", { name: "Size: 121 GB of 200 GB" })).toHaveAttribute("aria-valuenow", "60");
});

test("what is used up is said, and only then", async () => {
  server.on("get", PATH, make.storage({ used_bytes: 200e9, used_files: 999_999 }));
  show(<StorageCard userId="usr_rita" canChange={false} />);
  expect(await screen.findByText("200 GB of 200 GB · used up")).toBeVisible();
  expect(screen.getByText("999,999 of 1,000,000")).toBeVisible();
  expect(screen.queryByRole("button")).toBeNull();
});

async function begin(storage = mine) {
  server.on("get", PATH, storage);
  const { user } = show(<StorageCard userId="usr_rita" canChange />);
  await screen.findByText("2,500 of 1,000,000");
  await user.click(screen.getByRole("button", { name: "Edit storage quota" }));
  const window = within(await dialog());
  return { user, window, send: () => user.click(window.getByRole("button", { name: "OK" })) };
}

test("a quota is set, and taken back", async () => {
  server.on("put", PATH, mine);
  const { user, window, send } = await begin();
  expect(screen.getByText("The quota that everybody has.")).toBeVisible();
  await user.type(window.getByLabelText("Size"), "500GB");
  const one = await dialog();
  await send();
  await gone(one);
  expect(server.sent("put", PATH)).toEqual({ max_bytes: "500GB", max_files: null });
});

test("what was set stands in the form as one writes it; empty is as everybody", async () => {
  server.on("put", PATH, mine);
  const { user, window, send } = await begin({ ...mine, own_bytes: 500e9, own_files: 5 });
  expect(screen.getByText("An operator set this user's quota.")).toBeVisible();
  expect(window.getByLabelText("Size")).toHaveValue("500GB");
  await user.clear(window.getByLabelText("Size"));
  const one = await dialog();
  await send();
  await gone(one);
  expect(server.sent("put", PATH)).toEqual({ max_bytes: null, max_files: 5 });
});

test("what is wrong stands at its field, and every refusal is seen", async () => {
  const { user, window, send } = await begin();
  server.on("put", PATH, refuse(422, { field: "max_bytes", detail: "Not a size.", cure: "Write such as 1GB." }));
  await send();
  expect(await window.findByText("Not a size. Write such as 1GB.")).toBeVisible();
  await everyRefusalIsSeen(user, ["max_bytes", "max_files"], (refusal) => server.on("put", PATH, refusal));
  await waitFor(() => expect(server.calls("put", PATH).length).toBeGreaterThan(2));
});

test("a size is written so that it is read as the same", () => {
  expect([500e9, 2e12, 1500, 3e3, 0].map(exactBytes)).toEqual(["500GB", "2TB", "1500", "3KB", "0"]);
});
