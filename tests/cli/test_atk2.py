from __future__ import annotations
from tests.acceptance.world import HereDesk, Served
def test_mask(desk, person, people):
    # duplicate id that is an openid; amount cell that is an openid; wishing
    who=person(1)
    desk.sheet([(who, who, who, "x"), (who, person(2), "1.00", "y")], header="id,openid,amount,wishing")
    r = desk.run("check", "lantern.csv", "--json"); print(r)
    r2 = desk.run("check", "lantern.csv"); print(r2)
    assert who not in r.out+r.err+r2.out+r2.err
def test_mask_header(desk, person):
    who=person(1)
    desk.sheet([("1",who,"1.00"),("1",who,"1.00")], header=f"id,openid,amount,{who}")
    r = desk.run("check", "lantern.csv", "--json"); print(r)
    assert who not in r.out+r.err
def test_verbose_run(desk, people, gateway):
    desk.sheet(people)
    r = desk.run("run", "lantern.csv", "--yes", "-vv")
    print(r)
    for w,_ in people: assert w not in r.out+r.err
def test_bad_name_openid(desk, person, people):
    desk.sheet(people, name=person(3)+".csv")
    r = desk.run("run", person(3)+".csv", "--yes", "--json"); print(r)
