"""The short form of the campaign of kills (kill_campaign.py; `make kills` runs the long one): twenty SIGKILLs over every process, read by independent readers."""
from kill_campaign import Campaign
from scenario import check, main, scenario

KILLS = 20


@scenario("twenty kills at random points of runs: nothing lost, nothing twice, every end is clear", seconds=150)
def twenty(campaign):
    while campaign.kills() < KILLS:
        campaign.round()
    campaign.settle()
    campaign.report()
    check(campaign.runs, "no run was made")


if __name__ == "__main__":
    raise SystemExit(main(lambda: Campaign(20, lease=10), Campaign.close))
